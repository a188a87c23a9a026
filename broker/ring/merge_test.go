package ring_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// kept is what an engine keeps of a channel.
func kept(m ...schemas.Message) []schemas.Message {
	for i := range m {
		m[i].Channel, m[i].ID.Epoch, m[i].CreatedAt = "c", 1, schemas.TimeOf(time.Now())
	}
	return m
}

func older(seq uint64, topic schemas.Topic, kind schemas.Kind, stream, data string) schemas.Message {
	return schemas.Message{ID: schemas.ID{Seq: seq}, Topic: topic, Kind: kind, StreamID: stream, Data: []byte(data)}
}

// TestLog_Merge_kept: what an engine keeps of before a loss is kept over the limits here, too,
// and is sent to whoever asks for the latest messages.
func TestLog_Merge_kept(t *testing.T) {
	snapshot := func() []schemas.Message {
		all := kept(
			older(1, "status", schemas.KindData, "", `1`),
			older(2, "draft", schemas.KindStreamStart, "s", `{}`),
			older(3, "draft", schemas.KindChunk, "s", `"all of it"`),
			older(4, "draft", schemas.KindStreamEnd, "s", `{}`),
			older(5, "tokens", schemas.KindData, "", `1`),
			older(6, "log", schemas.KindChunk, "open", `"goes "`),
		)
		for seq := range uint64(4) {
			all = append(all, kept(older(101+seq, "tokens", schemas.KindData, "", `1`))...)
		}
		return all
	}
	for name, newer := range map[string]func(x *texts){
		"alone": func(*texts) {},
		"before newer ones": func(x *texts) {
			x.Cold = 104
			m := older(105, "log", schemas.KindChunk, "open", `"on"`)
			m.Offset = 5
			x.Append(&kept(m)[0])
		},
		"before newer ones of which some are lost": func(x *texts) {
			x.Cold = 104
			for seq := range uint64(20) {
				x.Append(&kept(older(105+seq, "tokens", schemas.KindData, "", `1`))[0])
			}
			m := older(130, "log", schemas.KindChunk, "open", `"on"`)
			m.Offset = 5
			x.Append(&kept(m)[0])
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := newTexts(t, engine.Limits{Messages: 8, Bytes: 1 << 20})
			newer(x)
			before := x.Bytes()
			if grown := x.Merge(snapshot(), engine.AllLost(100), ring.Overrun); grown != x.Bytes()-before {
				t.Errorf("grew by %d, says %d", x.Bytes()-before, grown)
			}
			if first, _ := x.Span(); first != 101 && first != 6 && first < 105 {
				t.Errorf("the log begins at %d", first)
			}
			if x.Lost() < 100 {
				t.Errorf("lost %d", x.Lost())
			}
			r := x.listen("status", "draft", "log").replay("latest")
			r.read(nil)
			r.wants("s", "all of it")
			if text := r.text["open"]; text != "goes " && text != "goes on" || (name == "alone") != (text == "goes ") {
				t.Errorf("the open text is %q", text)
			}
			if !slices.Contains(r.seen, 1) {
				t.Errorf("saw %v", r.seen)
			}
			all := x.listen("tokens").replay("all")
			all.read(nil)
			if slices.Contains(all.seen, 5) {
				t.Errorf("a replay of everything has %v", all.seen)
			}
			x.Drop(x.Len(), ring.Overrun)
			if x.Len() != 0 || x.Bytes() != 0 || x.Frames() != 0 {
				t.Errorf("%d messages and %d bytes are left", x.Len(), x.Bytes())
			}
		})
	}
}

// TestLog_Merge_gone: what was deleted does not come back.
func TestLog_Merge_gone(t *testing.T) {
	x := newTexts(t, engine.Limits{Messages: 8, Bytes: 1 << 20})
	x.Lose(10, ring.Expired)
	x.Merge(kept(older(5, "a", schemas.KindData, "", `1`), older(11, "a", schemas.KindData, "", `1`)), engine.Losses{}, ring.Expired)
	r := x.listen().replay("all")
	if r.read(nil); fmt.Sprint(r.seen) != "[11]" {
		t.Errorf("saw %v", r.seen)
	}
}

// TestLog_Merge_manyKept: the kept ones of both sides together are bounded.
func TestLog_Merge_manyKept(t *testing.T) {
	x := newTexts(t, engine.Limits{Messages: 4, Bytes: 1 << 20})
	x.Cold = 1000
	for seq := range uint64(60) {
		x.Append(&kept(older(1001+seq, schemas.Topic(fmt.Sprint("new", seq)), schemas.KindData, "", `1`))[0])
	}
	var all []schemas.Message
	for seq := range uint64(32) {
		all = append(all, kept(older(1+seq, schemas.Topic(fmt.Sprint("old", seq)), schemas.KindData, "", `1`))...)
	}
	x.Merge(all, engine.AllLost(500), ring.Overrun)
	if x.Len() > 4+32 {
		t.Errorf("%d messages are held", x.Len())
	}
	r := x.listen("new59", "new30").replay("latest")
	if r.read(nil); fmt.Sprint(r.seen) != "[1031 1060]" {
		t.Errorf("saw %v", r.seen)
	}
}

// TestLog_Merge_begunLongAgo: messages that are held as one expire with the newest of them,
// also when an engine has kept them.
func TestLog_Merge_begunLongAgo(t *testing.T) {
	var l ring.Log
	l.Limits = engine.Limits{Messages: 8, Bytes: 1 << 20, Age: time.Hour, Merge: chatRules(t)}
	all := kept(
		older(1, "parts", schemas.KindData, "", `{"type":"a","id":"1","delta":"x"}`),
		older(2, "parts", schemas.KindData, "", `{"type":"a","id":"1","delta":"y"}`),
	)
	all[0].CreatedAt = schemas.TimeOf(time.Now().Add(-2 * time.Hour))
	l.Merge(all, engine.Losses{}, ring.Kept)
	if first, last := l.Span(); first != 1 || last != 2 || l.Lost() != 0 {
		t.Errorf("it has %d to %d, and lost up to %d", first, last, l.Lost())
	}
}

// TestLog_Merge_lossesOfTopics: a reader is told of what an engine has lost of its topics, and of
// nothing else.
func TestLog_Merge_lossesOfTopics(t *testing.T) {
	lost := engine.Losses{Newest: 5, Every: 2, Topics: map[schemas.Topic]uint64{"noise": 5, "draft": 7}}
	for topic, want := range map[string]uint64{"status": 2, "noise": 5, "draft": 7, "": 7} {
		for after := range uint64(9) {
			x := newTexts(t, engine.Limits{Messages: 8, Bytes: 1 << 20})
			x.Merge(kept(older(4, "status", schemas.KindData, "", `1`), older(8, "draft", schemas.KindData, "", `1`)), lost, ring.Overrun)
			topics := schemas.TopicSet{}
			if topic != "" {
				topics = schemas.NewTopicSet([]string{topic})
			}
			r := ring.NewReader(topics, 0, 0)
			gap := r.Fill(&x.Log, nil, after, ring.NoReader, 1<<20)
			if told := gap != nil && gap.Newest == want && gap.Reason == ring.Overrun; told != (after < want) {
				t.Errorf("a reader of %q after %d is told of %+v, want up to %d", topic, after, gap, want)
			}
		}
	}
}
