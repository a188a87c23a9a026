package disk_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/disk"
	"github.com/sluicehq/sluice/schemas"
)

// model is what an engine must hold, in the simplest form.
type model struct {
	head     uint64
	messages map[string][]schemas.Message
	limits   map[string]broker.Limits
	deleted  map[string]uint64
	keys     map[string]schemas.Receipt
}

// TestEngine_model does at random what can be done, in an engine and in a model of
// it, with clean ends and kills in between. They must agree at all times.
func TestEngine_model(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { agree(t, rand.New(rand.NewPCG(seed, 9))) })
		})
	}
}

func agree(t *testing.T, rng *rand.Rand) {
	fs := vfs.NewCrashableMem()
	opts := disk.Options{RememberFor: time.Hour, SyncEvery: time.Hour}
	n := open(t, "d", opts.On(fs, "boot"))
	m := &model{
		messages: map[string][]schemas.Message{}, limits: map[string]broker.Limits{},
		deleted: map[string]uint64{}, keys: map[string]schemas.Receipt{},
	}
	for step := range 150 {
		name := fmt.Sprintf("c:%d", rng.IntN(6))
		switch what := rng.IntN(100); {
		case what < 70:
			m.append(t, n, rng, name)
		case what < 75:
			m.delete(t, n, name)
		case what < 85:
			time.Sleep(time.Duration(rng.IntN(int(20 * time.Minute))))
		case what < 88:
			n.close()
			n = open(t, "d", opts.On(fs, "boot"))
		case what < 91: // killed: what was written stays
			fs = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng})
			n.close()
			n = open(t, "d", opts.On(fs, "boot"))
		default:
			if err := n.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		m.compare(t, n, step)
		if t.Failed() {
			break
		}
	}
	n.close()
}

func (m *model) append(t *testing.T, n *node, rng *rand.Rand, name string) {
	e := entry(name, "t", fmt.Sprintf(`"%d%s"`, m.head, strings.Repeat("x", rng.IntN(300))))
	e.Limits = broker.Limits{Messages: 1 + rng.IntN(40), Bytes: int64(rng.IntN(10_000)), Age: time.Duration(1 + rng.IntN(int(time.Hour)))}
	e.Limits.Age = max(time.Millisecond, e.Limits.Age.Truncate(time.Millisecond))
	if rng.IntN(3) == 0 {
		e.Key = fmt.Sprint("k", rng.IntN(30))
	}
	r := n.append(e)
	id := name + "/" + e.Key
	if first, known := m.keys[id]; e.Key != "" && known {
		if r.Duplicate && r.ID == first.ID {
			return
		}
		if age := time.Since(first.CreatedAt.Std()); age < time.Hour {
			t.Fatalf("%s was forgotten after %v", id, age)
		}
	}
	if m.head++; r.Duplicate || r.ID.Seq != m.head {
		t.Fatalf("receipt %+v, head %d", r, m.head)
	}
	if e.Key != "" {
		m.keys[id] = r
	}
	e.ID, e.CreatedAt = r.ID, r.CreatedAt
	m.messages[name] = append(m.messages[name], e.Message)
	m.limits[name] = e.Limits
}

func (m *model) delete(t *testing.T, n *node, name string) {
	found, err := n.Delete(t.Context(), schemas.Channel(name))
	if want := len(m.within(name)) > 0; err != nil || found != want {
		t.Fatalf("delete of %s: %v, %v, want %v", name, found, err, want)
	}
	if all := m.messages[name]; len(all) > 0 {
		m.deleted[name] = all[len(all)-1].ID.Seq
	}
	m.messages[name] = nil
}

// within returns the messages of a channel that are within its limits as they are
// now; those that a former limit or time has cut stay cut.
func (m *model) within(name string) []schemas.Message {
	all, l := m.messages[name], m.limits[name]
	bytes, first := int64(0), len(all)
	for i, msg := range slices.Backward(all) {
		bytes += disk.SizeOf(msg)
		if len(all)-i > l.Messages || bytes > l.Bytes && l.Bytes > 0 && i < len(all)-1 || time.Now().UnixMilli() >= int64(msg.CreatedAt)+l.Age.Milliseconds() {
			break
		}
		first = i
	}
	return all[first:]
}

func (m *model) compare(t *testing.T, n *node, step int) {
	t.Helper()
	var names []string
	for name := range maps.Keys(m.limits) {
		kept, want := n.load(name), m.within(name)
		// Under limits that were narrower before, less may be there; but then it is
		// said to be lost.
		for len(want) > 0 && want[0].ID.Seq <= kept.Lost {
			want = want[1:]
		}
		if len(kept.Messages) > 0 {
			names = append(names, name)
		}
		if fmt.Sprint(kept.Messages) != fmt.Sprint(want) {
			t.Errorf("step %d, %s:\n got %s\nwant %s", step, name, brief(kept), brief(broker.Kept{Messages: want}))
		}
		for _, msg := range m.messages[name] {
			if msg.ID.Seq > kept.Lost && !slices.ContainsFunc(kept.Messages, func(k schemas.Message) bool { return k.ID == msg.ID }) {
				t.Errorf("step %d, %s: %d is lost without a trace", step, name, msg.ID.Seq)
			}
		}
		if kept.Lost < m.deleted[name] {
			t.Errorf("step %d, %s: lost %d, deleted up to %d", step, name, kept.Lost, m.deleted[name])
		}
	}
	slices.Sort(names)
	got, err := n.Names(t.Context(), "c:", "", 100)
	if fmt.Sprint(got) != fmt.Sprint(names) || err != nil {
		t.Errorf("step %d: names %v, want %v, %v", step, got, names, err)
	}
	for after := uint64(0); after < m.head; after += 1 + m.head/3 {
		m.match(t, n, after, step)
	}
	if head, _ := n.Head(t.Context()); head != m.head {
		t.Errorf("step %d: head %d, want %d", step, head, m.head)
	}
}

// match looks for every channel that has, or has lost, something after a position.
func (m *model) match(t *testing.T, n *node, after uint64, step int) {
	t.Helper()
	found, err := n.Matching(t.Context(), "c:*", after, 100)
	if err != nil {
		t.Fatal(err)
	}
	for name, all := range m.messages {
		if len(all) == 0 || all[len(all)-1].ID.Seq <= after || found.Lost > after {
			continue
		}
		if len(m.within(name)) > 0 && !slices.Contains(found.Channels, schemas.Channel(name)) {
			t.Errorf("step %d: %s has something after %d and is not found", step, name, after)
		}
	}
}
