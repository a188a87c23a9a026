package disk_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/disk"
	"github.com/sluicehq/sluice/broker/engine/enginetest"
	"github.com/sluicehq/sluice/schemas"
)

// After a kill, the replay of terse records makes exactly the database that the groups made,
// whatever else was published between the pieces.
func TestOpen_killed_terse(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { replayTexts(t, rand.New(rand.NewPCG(seed, 5))) })
		})
	}
}

func replayTexts(t *testing.T, rng *rand.Rand) {
	fs := vfs.NewCrashableMem()
	opts := disk.Options{SyncEvery: time.Hour}
	n := open(t, "d", opts.On(fs, "boot"))
	var texts []*growingText
	for round := range 8 {
		for _, text := range texts { // the first groups after a start
			text.n = n
			text.grow(1)
		}
		texts = nil
		for i := range 5 {
			text := &growingText{n: n, entry: entry(fmt.Sprint("c", i%3), "draft", "{}"), rng: rand.New(rand.NewPCG(rng.Uint64(), 6))}
			text.entry.StreamID = fmt.Sprint("s", round, " ", i)
			texts = append(texts, text)
		}
		var publishers sync.WaitGroup
		for _, text := range texts {
			publishers.Go(text.publish)
		}
		publishers.Wait()
		texts = slices.DeleteFunc(texts, func(text *growingText) bool { return text.ended })
		switch rng.IntN(4) {
		case 0:
			if _, err := n.Delete(t.Context(), "c1"); err != nil {
				t.Fatal(err)
			}
		case 1:
			if err := n.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		want := n.Dump()
		fs = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng})
		n.close()
		n = open(t, "d", opts.On(fs, fmt.Sprint("boot", rng.IntN(2)))) // after a loss of power, positions are skipped
		got := n.Dump()
		for key := range want {
			if got[key] != want[key] {
				t.Errorf("%q: %q became %q", key, want[key], got[key])
			}
			delete(got, key)
		}
		if len(got) > 0 {
			t.Errorf("the replay has made %q", got)
		}
		if t.Failed() {
			break
		}
	}
	n.close()
}

// growingText is a text that several publishers write, so that a group has several of its
// pieces.
type growingText struct {
	n     *node
	mu    sync.Mutex
	entry engine.Entry
	rng   *rand.Rand
	ended bool
}

// publish publishes a text and, now and then, something else.
func (g *growingText) publish() {
	g.entry.Limits = engine.Limits{Messages: 8, Bytes: 1 << 20, Age: time.Hour, TextBytes: 30_000, Merge: enginetest.MergeRules(g.n.t)}
	g.entry.Kind = schemas.KindStreamStart
	g.n.append(g.entry)
	g.entry.Kind = schemas.KindChunk
	var writers sync.WaitGroup
	for range 3 {
		writers.Go(func() { g.grow(20) })
	}
	writers.Wait()
	if g.ended = g.rng.IntN(2) == 0; g.ended {
		g.entry.Kind, g.entry.Offset, g.entry.Data = schemas.KindStreamEnd, 0, []byte(`{"reason":"complete"}`)
		g.n.append(g.entry)
	}
}

// grow publishes pieces. Those of several writers may change places on their way.
func (g *growingText) grow(pieces int) {
	for range pieces {
		g.mu.Lock()
		text, what := strings.Repeat("x", 1+g.rng.IntN(1000)), g.rng.IntN(20)
		g.entry.Data = []byte(`"` + text + `"`)
		e := g.entry
		g.entry.Offset += int64(len(text))
		g.mu.Unlock()
		g.n.append(e)
		switch channel := string(e.Channel); what {
		case 0:
			g.n.put(channel, "1")
		case 1:
			g.n.once(channel, fmt.Sprint(e.StreamID, e.Offset), "2")
		case 3, 4, 5, 6:
			e.Topic, e.StreamID, e.Kind, e.Offset = "parts", "", schemas.KindData, 0
			for i := range 1 + what {
				e.Data = fmt.Appendf(nil, `{"type":"delta","id":%d,"delta":%q}`, min(i, 1), text)
				g.n.append(e)
			}
		}
	}
}

// A word of a text takes little more than itself and the header of its record.
func TestEngine_Append_terse(t *testing.T) {
	n := open(t, t.TempDir(), disk.Options{})
	e := entry("conversation:7b1c", "draft", "{}")
	e.StreamID, e.Kind = "01JX5W9Y3M7QTZ", schemas.KindStreamStart
	n.append(e)
	e.Kind = schemas.KindChunk
	const words = 100
	before := int64(0)
	for i := range words + 1 {
		if i == 1 {
			before = n.JournalBytes()
		}
		e.Offset, e.Data = int64(8*i), []byte(`"12345678"`)
		n.append(e)
	}
	const header, most = 11, 8 + 4
	if got := (n.JournalBytes() - before) / words; got > header+most {
		t.Errorf("a word of 8 bytes takes %d, at most %d are expected", got, header+most)
	}
}

// A terse record that does not fit the database is refused.
func TestUnpack_malformed(t *testing.T) {
	n := open(t, t.TempDir(), disk.Options{})
	e := entry("a", "draft", "{}")
	e.StreamID, e.Kind = "s", schemas.KindStreamStart
	n.append(e)
	e.Kind, e.Data = schemas.KindChunk, []byte(`"1"`)
	n.append(e)
	good := []byte{1, 0, 1, 1, 'x'} // its newest piece is the newest message
	if err := n.Unpack(good); err != nil {
		t.Fatal(err)
	}
	for i := 3; i < len(good); i++ {
		if err := n.Unpack(good[:i]); err == nil {
			t.Errorf("%v is taken", good[:i])
		}
	}
	for _, b := range [][]byte{{1, 0, 2, 1, 'x'}, {1, 0, 0, 1, 'x'}, {1, 0, 1, 2, 'x'}, {3, 0}, {3, 0, 9, 'x'}, {2, 0, 1}, {2, 0, 0, 9, 1}} {
		if err := n.Unpack(b); err == nil {
			t.Errorf("%v is taken", b)
		}
	}
}
