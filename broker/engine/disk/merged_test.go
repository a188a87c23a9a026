package disk_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/disk"
	"github.com/sluicehq/sluice/broker/engine/enginetest"
	"github.com/sluicehq/sluice/schemas"
)

// Messages that are held as one still are after a restart and after a kill, and go on.
func TestEngine_merged_reopened(t *testing.T) {
	dir := t.TempDir()
	n := open(t, dir, thisBoot())
	enginetest.Merged(t, n)
	want := n.load("merged")
	killed := image(t, dir)
	n.close()
	for name, dir := range map[string]string{"restarted": dir, "killed": killed} {
		t.Run(name, func(t *testing.T) {
			n := open(t, dir, thisBoot())
			if got := n.load("merged"); !reflect.DeepEqual(got, want) {
				t.Errorf("got %s\nwant %s", brief(got), brief(want))
			}
			a := answer{n: n, limits: engine.Limits{Messages: enginetest.KeptMessages, Bytes: 1 << 20, Age: time.Hour, Merge: enginetest.MergeRules(t)}}
			a.part("twice", "d") // goes on
			for range enginetest.KeptMessages - 1 {
				a.other()
			}
			got := n.load("merged")
			if text := deltas(t, got, "twice"); text != "abcd" || len(got.Messages) < 5+enginetest.KeptMessages-1 {
				t.Errorf("it goes on as %q: %s", text, brief(got))
			}
			if err := n.Audit("merged"); err != nil {
				t.Error(err)
			}
		})
	}
}

// answer publishes parts of answers, and others, to one channel.
type answer struct {
	n      *node
	limits engine.Limits
	others int
}

func (a *answer) part(id, text string) uint64 {
	return a.publish("parts", fmt.Sprintf(`{"type":"delta","id":%q,"delta":%q}`, id, text))
}

func (a *answer) other() uint64 {
	a.others++
	return a.publish("log", fmt.Sprint(a.others))
}

func (a *answer) publish(topic, data string) uint64 {
	e := entry("merged", topic, data)
	e.Limits = a.limits
	return a.n.append(e).ID.Seq
}

// deltas returns what a snapshot has of an answer.
func deltas(t *testing.T, kept engine.Snapshot, id string) (text string) {
	t.Helper()
	for _, m := range kept.Messages {
		var part struct{ ID, Delta string }
		if m.Topic != "parts" {
			continue
		}
		if err := json.Unmarshal(m.Data, &part); err != nil {
			t.Fatal(err)
		}
		if part.ID == id {
			text += part.Delta
		}
	}
	return text
}

// An answer counts as one message, and is dropped as a whole, whether its end comes at once,
// with the message that makes the channel too full, or after it has been kept over the limits.
func TestEngine_merged_dropped(t *testing.T) {
	const untrimmed = 8 + 64 // messages that a channel with these limits has before it is trimmed
	for name, others := range map[string][2]int{"at once": {0, untrimmed}, "with the trim": {untrimmed - 1, untrimmed}, "kept": {untrimmed + 9, untrimmed}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, inMemory(), func(t *testing.T, n *node) {
				a := answer{n: n, limits: engine.Limits{Messages: 8, Bytes: 1 << 20, Age: time.Hour, TextBytes: 1 << 20, Merge: enginetest.MergeRules(t)}}
				audit := func() {
					t.Helper()
					if err := n.Audit("merged"); err != nil {
						t.Error(err)
					}
				}
				last := uint64(0)
				for range 100 {
					last = a.part("1", "x")
				}
				for range others[0] {
					a.other()
				}
				if got := deltas(t, n.load("merged"), "1"); len(got) != 100 { // the latest of its topic
					t.Errorf("%d parts are kept", len(got))
				}
				if list, err := n.List(t.Context(), "", "", 10); err != nil || list[0].Messages < min(8, others[0]+1) || list[0].Messages > min(9, others[0]+1) {
					t.Errorf("%+v, %v", list, err)
				}
				audit()
				a.publish("parts", `{"type":"end","id":"1"}`)
				audit()
				for range others[1] {
					a.other()
					audit()
				}
				kept := n.load("merged")
				if got := deltas(t, kept, "1"); got != "" || kept.Lost.Newest < last || len(kept.Messages) != 9 {
					t.Errorf("kept %s", brief(kept))
				}
				if n.Keys('t') != 0 || n.Keys('o') != 0 {
					t.Errorf("left: %d segments, %d open", n.Keys('t'), n.Keys('o'))
				}
				a.part("2", "x")
				a.part("3", "x")
				time.Sleep(2 * time.Hour)
				if n.Keys('m') != 0 || n.Keys('t') != 0 || n.Keys('o') != 0 || n.Stats().KeptBytes != 0 {
					t.Errorf("left: %d messages, %d segments, %d open, %d bytes", n.Keys('m'), n.Keys('t'), n.Keys('o'), n.Stats().KeptBytes)
				}
			})
		})
	}
}

// An answer that ends while its channel is trimmed takes no room from what is kept over the
// limits.
func TestEngine_merged_endedIsNotKept(t *testing.T) {
	n := open(t, t.TempDir(), disk.Options{})
	a := answer{n: n, limits: engine.Limits{Messages: 8, Bytes: 4000, Age: time.Hour, TextBytes: 1 << 20, Merge: enginetest.MergeRules(t)}}
	latest := a.publish("status", `"`+strings.Repeat("x", 3000)+`"`)
	for range 20 {
		a.part("1", strings.Repeat("y", 100))
	}
	for range 62 { // one more, and few enough are left that trimming pays
		a.other()
	}
	a.publish("parts", `{"type":"end","id":"1"}`)
	kept := n.load("merged")
	if len(kept.Messages) != 9 || kept.Messages[0].ID.Seq != latest || n.Keys('m') != 9 || n.Keys('t') != 0 {
		t.Errorf("%d are stored, kept %.300s", n.Keys('m'), brief(kept))
	}
}

// An answer that is longer than the limits loses its beginning.
func TestEngine_merged_tooLong(t *testing.T) {
	const most = 30_000
	for name, limits := range map[string]engine.Limits{
		"text":  {Messages: 100, Bytes: 1 << 20, TextBytes: most},
		"bytes": {Messages: 100, Bytes: most, TextBytes: 1 << 20},
	} {
		for _, more := range []string{"", `,"n":%d`, `,"long":"` + strings.Repeat("x", 300) + `"`} {
			t.Run(name+more[:min(len(more), 8)], func(t *testing.T) {
				n := open(t, t.TempDir(), disk.Options{})
				limits.Age, limits.Merge = time.Hour, enginetest.MergeRules(t)
				a := answer{n: n, limits: limits}
				sent := make(map[uint64]string)
				for i := range 2000 {
					number := strings.ReplaceAll(more, "%d", fmt.Sprint(i))
					data := fmt.Sprintf(`{"type":"delta","id":"1","delta":"%050d"%s}`, i, number)
					sent[a.publish("parts", data)] = data
				}
				kept := n.load("merged")
				count := len(kept.Messages)
				begins := uint64(2000 - count)
				if count == 2000 || count == 0 || kept.Lost.Of("parts") != begins || kept.Lost.Of("other") != 0 {
					t.Fatalf("%d are kept, lost %+v", count, kept.Lost)
				}
				for i, m := range kept.Messages {
					if m.ID.Seq != begins+1+uint64(i) || string(m.Data) != sent[m.ID.Seq] || m.FirstID != (schemas.ID{}) {
						t.Errorf("at %d is %s", m.ID.Seq, m.Data)
					}
				}
				loaded := 0
				for _, m := range kept.Messages {
					loaded += len(m.Data)
				}
				if loaded > 3*most {
					t.Errorf("%d bytes are loaded", loaded)
				}
				stored := n.Stats().KeptBytes
				t.Logf("%d are kept, %d bytes", count, stored)
				if stored < most-16<<10 || stored > most+16<<10 {
					t.Errorf("%d bytes are stored", stored)
				}
				if err := n.Audit("merged"); err != nil {
					t.Error(err)
				}
			})
		}
	}
}
