package nats_test

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/sluicehq/sluice/broker/nats"
	"github.com/sluicehq/sluice/schemas"
)

func TestEnvelope_comesBack(t *testing.T) {
	for _, m := range []schemas.Message{
		{Topic: "status", Kind: schemas.KindData, Data: []byte(`{"a":1}`), CreatedAt: 1795414683222},
		{Topic: "$run", Kind: schemas.KindRun, Data: []byte(`1`), RunID: "run 42", CreatedAt: -1},
		{Topic: "t", Kind: schemas.KindChunk, Data: []byte(`"x"`), StreamID: "s1"},
		{Topic: "t", Kind: schemas.KindStreamEnd, Data: []byte(`{}`), RunID: "r", StreamID: "s"},
		{Topic: "t", Kind: schemas.KindStreamStart, Data: []byte(`{}`)},
	} {
		back, err := nats.Unseal(nats.Seal(&m))
		if err != nil || !reflect.DeepEqual(back, m) {
			t.Errorf("%+v came back as %+v, %v", m, back, err)
		}
	}
}

func FuzzEnvelope(f *testing.F) {
	m := schemas.Message{Topic: "status", Kind: schemas.KindData, Data: []byte(`{}`), RunID: "r", StreamID: "s", CreatedAt: 12345}
	whole := nats.Seal(&m)
	for i := range whole {
		f.Add(whole[:i])
	}
	f.Add(whole)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := nats.Unseal(b)
		if err != nil {
			return
		}
		again, err := nats.Unseal(nats.Seal(&m))
		if err != nil || !bytes.Equal(again.Data, m.Data) || again.Topic != m.Topic || again.CreatedAt != m.CreatedAt || again.RunID != m.RunID {
			t.Fatalf("%+v came back as %+v, %v", m, again, err)
		}
	})
}
