package nats_test

import (
	"bytes"
	"reflect"
	"testing"

	natsio "github.com/nats-io/nats.go"

	"github.com/sluicehq/sluice/broker/engine/nats"
	"github.com/sluicehq/sluice/schemas"
)

func TestEnvelope_comesBack(t *testing.T) {
	for _, m := range []schemas.Message{
		{Topic: "status", Kind: schemas.KindData, Data: []byte(`{"a":1}`), CreatedAt: 1795414683222},
		{Topic: "$run", Kind: schemas.KindRun, Data: []byte(`1`), RunID: "run 42", CreatedAt: -1},
		{Topic: "t", Kind: schemas.KindChunk, Data: []byte(`"x"`), StreamID: "s1"},
		{Topic: "t", Kind: schemas.KindStreamEnd, Data: []byte(`{}`), RunID: "r", StreamID: "s"},
		{Topic: "t", Kind: schemas.KindStreamStart, Data: []byte(`{}`)},
		{Topic: "t", Kind: schemas.KindChunk, Data: []byte(`"x"`), StreamID: "s1", Offset: 1 << 40, Sub: "user-7"},
		{Topic: "t", Kind: schemas.KindData, Data: []byte(`1`), Sub: " a\r\n\x00\"ü\u2028 "},
	} {
		back, err := nats.Unseal(nats.Seal(&m))
		if err != nil || !reflect.DeepEqual(back, m) {
			t.Errorf("%+v came back as %+v, %v", m, back, err)
		}
	}
}

// The versions before stored neither offset nor subject, in the same envelope: they read
// what this one writes, and the other way around.
func TestEnvelope_older(t *testing.T) {
	m := schemas.Message{Topic: "t", Kind: schemas.KindChunk, Data: []byte(`"x"`), RunID: "r", StreamID: "s1", Offset: 7, Sub: "user-7"}
	stored := nats.Seal(&m)
	written := []byte("\x01\x03\x07\x00\x00\x00\x00\x00\x00\x00\x00\x01t\x01r\x02s1\"x\"")
	if !bytes.Equal(stored.Data, written) {
		t.Errorf("the body is %q, older nodes read %q", stored.Data, written)
	}
	back, err := nats.Unseal(&natsio.Msg{Data: written})
	m.Offset, m.Sub = -1, "" // not known
	if err != nil || !reflect.DeepEqual(back, m) {
		t.Errorf("got %+v, %v; want %+v", back, err, m)
	}
}

// Nothing is added to what an API key publishes.
func TestEnvelope_plain(t *testing.T) {
	if stored := nats.Seal(&schemas.Message{Topic: "t", Kind: schemas.KindData, Data: []byte(`1`)}); len(stored.Header) > 0 {
		t.Errorf("headers %v", stored.Header)
	}
}

func FuzzEnvelope(f *testing.F) {
	m := schemas.Message{Topic: "status", Kind: schemas.KindChunk, Data: []byte(`{}`), RunID: "r", StreamID: "s", Sub: "me", CreatedAt: 12345}
	whole := nats.Seal(&m)
	sub, offset := whole.Header.Get("Sluice-Sub"), whole.Header.Get("Sluice-Offset")
	for i := range len(whole.Data) + 1 {
		f.Add(whole.Data[:i], sub, offset)
	}
	f.Fuzz(func(t *testing.T, b []byte, sub, offset string) {
		m, err := nats.Unseal(&natsio.Msg{Data: b, Header: natsio.Header{"Sluice-Sub": {sub}, "Sluice-Offset": {offset}}})
		if err != nil {
			return
		}
		again, err := nats.Unseal(nats.Seal(&m))
		if m.Kind != schemas.KindChunk {
			m.Offset = 0
		}
		if err != nil || !reflect.DeepEqual(again, m) {
			t.Fatalf("%+v came back as %+v, %v", m, again, err)
		}
	})
}
