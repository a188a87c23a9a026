package nats

import (
	"reflect"
	"testing"

	"github.com/sluicehq/sluice/schemas"
)

func someBlock() block {
	return block{number: 2, from: 3, to: 400, lost: 4, messages: []schemas.Message{
		{ID: schemas.ID{Epoch: 7, Seq: 5}, Channel: "c", Topic: "draft", Kind: schemas.KindChunk, Data: []byte(`"é"`), StreamID: "s", Offset: 1 << 40, Sub: "me", CreatedAt: 1795414683222},
		{ID: schemas.ID{Epoch: 7, Seq: 399}, Channel: "c", Topic: "draft", Kind: schemas.KindChunk, Data: []byte(`""`), StreamID: "s", Offset: -1},
		{ID: schemas.ID{Epoch: 7, Seq: 400}, Channel: "c", Topic: "$run", Kind: schemas.KindRun, Data: []byte(`{}`), RunID: "r", Traceparent: "00-1-2-01"},
	}}
}

func TestBlock_comesBack(t *testing.T) {
	for _, b := range []block{someBlock(), {number: 3, from: 1, to: 1}} {
		back, err := openBlock(b.encode(), 7, "c")
		if err != nil || !reflect.DeepEqual(back, b) {
			t.Errorf("%+v came back as %+v, %v", b, back, err)
		}
	}
}

// A block that a node of an older version has stored.
func TestBlock_version1(t *testing.T) {
	stored := "\x01\x02\x03\x90\x03\x04\x02\x00\x04\x05draft\x00\x01s\x02me\xac\xb9\xef\xf0\xc0h\x80\x80\x80\x80\x80@\x04\"é\"" +
		"\x8a\x03\x01\x04\x05draft\x00\x01s\x00\xab\xb9\xef\xf0\xc0h\x01\x02\"\"\x01\x02\x02\x04$run\x01r\x00\x00\x00\x00\x02{}"
	want := someBlock()
	want.messages[2].Traceparent = ""
	if got, err := openBlock([]byte(stored), 7, "c"); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read as %+v, %v\nwant %+v", got, err, want)
	}
}

func FuzzBlock(f *testing.F) {
	b := someBlock()
	whole := b.encode()
	for i := range len(whole) + 1 {
		f.Add(whole[:i])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := openBlock(data, 7, "c")
		if err != nil {
			return
		}
		again, err := openBlock(b.encode(), 7, "c")
		if err != nil || !reflect.DeepEqual(again, b) {
			t.Fatalf("%+v came back as %+v, %v", b, again, err)
		}
	})
}

func TestMessagesIn(t *testing.T) {
	m := make([]schemas.Message, 5)
	for i := range m {
		m[i].Data = make([]byte, 76) // 100 bytes in a block
	}
	for bytes, want := range map[int]int{0: 1, 100: 1, 199: 1, 200: 2, 499: 4, 500: 5, 900: 5} {
		if got := messagesIn(m, bytes); got != want {
			t.Errorf("%d bytes: %d messages, want %d", bytes, got, want)
		}
	}
}
