package disk_test

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/disk"
	"github.com/sluicehq/sluice/broker/engine/enginetest"
	"github.com/sluicehq/sluice/schemas"
)

// model is the simplest implementation of an engine.
type model struct {
	head     uint64
	messages map[string][]schemas.Message
	limits   map[string]engine.Limits
	deleted  map[string]uint64
	keys     map[string]schemas.Receipt
	texts    map[string]modelText
	rules    *schemas.MergeRules
}

// merges reports whether a channel has merge rules. Such a channel has no limit of bytes, since
// the model does not know how many those that are held as one take.
func (m *model) merges(name string) bool { return name == "c:4" || name == "c:5" }

// continues reports whether the last of the messages is held as one with the one before.
func (m *model) continues(all []schemas.Message) bool {
	if len(all) < 2 {
		return false
	}
	before, last := all[len(all)-2], all[len(all)-1]
	rule := m.rules.Of(last.Topic)
	if rule == nil || before.StreamID+last.StreamID != "" {
		return false
	}
	a, ok := rule.Split(before.Data)
	b, too := rule.Split(last.Data)
	return ok && too && a.Key == b.Key
}

// count returns how many the messages are for the limits.
func (m *model) count(all []schemas.Message) (n int) {
	for i := range all {
		if !m.continues(all[:i+1]) {
			n++
		}
	}
	return n
}

// modelText is the record of a text.
type modelText struct {
	engine.Text
	revision uint64
}

// An engine and a model of it always agree. The test applies random operations to both, with
// clean ends and kills in between.
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
		messages: map[string][]schemas.Message{}, limits: map[string]engine.Limits{},
		deleted: map[string]uint64{}, keys: map[string]schemas.Receipt{}, texts: map[string]modelText{}, rules: enginetest.MergeRules(t),
	}
	for step := range 150 {
		name := fmt.Sprintf("c:%d", rng.IntN(6))
		switch what := rng.IntN(100); {
		case what < 55:
			m.append(t, n, rng, name)
		case what < 70:
			m.setText(t, n, rng, name)
		case what < 75:
			m.delete(t, n, name)
		case what < 85:
			time.Sleep(time.Duration(rng.IntN(int(20 * time.Minute))))
		case what < 88:
			n.close()
			n = open(t, "d", opts.On(fs, "boot"))
		case what < 91: // a kill, which loses nothing
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
	e.Limits = engine.Limits{Messages: 1 + rng.IntN(40), Bytes: int64(rng.IntN(10_000)), Age: time.Duration(1 + rng.IntN(int(time.Hour)))}
	e.Limits.Age = max(time.Millisecond, e.Limits.Age.Truncate(time.Millisecond))
	if m.merges(name) {
		e.Topic, e.Limits.Merge, e.Limits.Bytes = "parts", m.rules, 0
		if rng.IntN(8) > 0 {
			e.Data = fmt.Appendf(nil, `{"type":"delta","id":%d,"delta":%q,"n":%d}`, rng.IntN(5)/4, strings.Repeat("x", rng.IntN(300)), rng.IntN(10)/9)
		}
	}
	if rng.IntN(3) == 0 {
		e.Key = fmt.Sprint("k", rng.IntN(30))
	}
	if rng.IntN(3) == 0 && m.fenced(t, n, rng, &e) {
		return
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

// fenced gives e a fence. If that is not the newest revision, fenced publishes e, which must be
// refused.
func (m *model) fenced(t *testing.T, n *node, rng *rand.Rand, e *engine.Entry) bool {
	e.StreamID, e.Key = fmt.Sprint("s", rng.IntN(3)), ""
	is := m.text(t, n, e.TextName()).revision
	if e.Fence = is; rng.IntN(3) == 0 {
		e.Fence = 1 + rng.Uint64N(m.head+1)
	}
	if e.Fence == is {
		return false
	}
	if _, err := n.Append(t.Context(), *e); !errors.Is(err, engine.ErrFenced) {
		t.Fatalf("fence %d of %d: %v", e.Fence, is, err)
	}
	return true
}

// setText sets the record of a text, at the right revision or a wrong one.
func (m *model) setText(t *testing.T, n *node, rng *rand.Rand, channel string) {
	name := engine.TextName{Channel: schemas.Channel(channel), Topic: "t", StreamID: fmt.Sprint("s", rng.IntN(3))}
	is := m.text(t, n, name).revision
	text := engine.Text{Attempt: rng.Int64N(1000), State: engine.TextState(1 + rng.IntN(3)), Since: rng.Uint64N(2) * is}
	at := is
	if rng.IntN(3) == 0 {
		at = rng.Uint64N(m.head + 1)
	}
	revision, err := n.SetText(t.Context(), name, at, text)
	if at != is {
		if !errors.Is(err, engine.ErrFenced) {
			t.Fatalf("%v is set at %d, its revision is %d: %v", name, at, is, err)
		}
		return
	}
	if m.head++; err != nil || revision != m.head {
		t.Fatalf("%v is at %d, %v, head %d", name, revision, err, m.head)
	}
	text.Since, text.At = cmp.Or(text.Since, revision), schemas.TimeOf(time.Now())
	m.texts[fmt.Sprint(name)] = modelText{text, revision}
}

// text compares the record of a text and returns it.
func (m *model) text(t *testing.T, n *node, name engine.TextName) modelText {
	t.Helper()
	got, revision, err := n.Text(t.Context(), name)
	want := m.texts[fmt.Sprint(name)]
	if revision == 0 && want.revision > 0 && time.Since(want.At.Std()) >= time.Hour {
		delete(m.texts, fmt.Sprint(name))
		want = modelText{}
	}
	want.Orphaned = want.State == engine.TextOpen && revision <= n.origin.Head
	if err != nil || got != want.Text || revision != want.revision {
		t.Fatalf("the record of %v is %+v at %d, %v, want %+v at %d", name, got, revision, err, want.Text, want.revision)
	}
	return want
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

// within returns the messages of a channel that are within its current limits. Messages that
// earlier limits removed do not come back.
func (m *model) within(name string) []schemas.Message {
	all, l := m.messages[name], m.limits[name]
	bytes, count, first := int64(0), 0, len(all)
	for i, msg := range slices.Backward(all) {
		bytes += disk.SizeOf(msg)
		if i+1 < len(all) && m.continues(all[:i+2]) {
			first = i // with the one after it
			continue
		}
		if count++; count > l.Messages || bytes > l.Bytes && l.Bytes > 0 && i < len(all)-1 || time.Now().UnixMilli() >= int64(msg.CreatedAt)+l.Age.Milliseconds() {
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
		// If the limits were narrower before, there may be fewer messages, but then they are
		// announced as lost.
		for len(want) > 0 && want[0].ID.Seq <= kept.Lost.Newest {
			want = want[1:]
		}
		if len(kept.Messages) > 0 {
			names = append(names, name)
		}
		if fmt.Sprint(kept.Messages) != fmt.Sprint(want) {
			t.Errorf("step %d, %s:\n got %s\nwant %s", step, name, brief(kept), brief(engine.Snapshot{Messages: want}))
		}
		for _, msg := range m.messages[name] {
			if msg.ID.Seq > kept.Lost.Of(msg.Topic) && !slices.ContainsFunc(kept.Messages, func(k schemas.Message) bool { return k.ID == msg.ID }) {
				t.Errorf("step %d, %s: %d is lost without a trace", step, name, msg.ID.Seq)
			}
		}
		if kept.Lost.Newest < m.deleted[name] {
			t.Errorf("step %d, %s: lost %d, deleted up to %d", step, name, kept.Lost.Newest, m.deleted[name])
		}
	}
	slices.Sort(names)
	list, err := n.List(t.Context(), "c:", "", 100)
	if got, _ := enginetest.Names(list, nil); fmt.Sprint(got) != fmt.Sprint(names) || err != nil {
		t.Errorf("step %d: names %v, want %v, %v", step, got, names, err)
	}
	for _, s := range list {
		m.summarise(t, n, s, step)
	}
	for after := uint64(0); after < m.head; after += 1 + m.head/3 {
		m.match(t, n, after, step)
	}
	for name := range m.limits {
		for i := range 3 {
			m.text(t, n, engine.TextName{Channel: schemas.Channel(name), Topic: "t", StreamID: fmt.Sprint("s", i)})
		}
	}
	if stats := n.Stats(); stats.Remembered != n.Keys('k') {
		t.Errorf("step %d: %d are remembered, %d counted", step, n.Keys('k'), stats.Remembered)
	}
	if head, _ := n.Head(t.Context()); head != m.head {
		t.Errorf("step %d: head %d, want %d", step, head, m.head)
	}
}

// summarise compares a summary with the loaded channel.
func (m *model) summarise(t *testing.T, n *node, got engine.Summary, step int) {
	t.Helper()
	kept, err := n.Load(t.Context(), got.Channel)
	if err != nil {
		t.Fatal(err)
	}
	want := engine.Summary{Channel: got.Channel, Messages: m.count(kept.Messages), Run: kept.Run, Bytes: got.Bytes, First: got.First, Last: got.Last}
	if n := len(kept.Messages); n > 0 {
		want.First, want.Last = kept.Messages[0].ID.Seq, kept.Messages[n-1].ID.Seq
	}
	if !reflect.DeepEqual(got, want) || (got.Bytes > 0) != (want.Messages > 0) {
		t.Errorf("step %d: summary %+v, want %+v", step, got, want)
	}
}

// match compares which channels have, or have lost, messages after a position.
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
