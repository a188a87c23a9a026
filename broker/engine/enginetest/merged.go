package enginetest

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/sluicehq/sluice/schemas"
)

// MergeRules returns the rules of the channels of [Merged]: on the topic parts, deltas of the
// same type and id are held as one.
func MergeRules(t testing.TB) *schemas.MergeRules {
	t.Helper()
	def, err := schemas.ParseDefinition("merged", []byte(`{"topics":{"parts":{"merge":{"append":"/delta","key":["/type","/id"]}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	catalog := schemas.NewCatalog(schemas.Limits{})
	if err := catalog.Put(def); err != nil {
		t.Fatal(err)
	}
	return catalog.For("merged").Merge()
}

// Merged tests that messages that a merge rule joins are kept or dropped as a whole, and count
// as one beside others. A channel keeps [KeptMessages].
func Merged(t *testing.T, stores ...Store) {
	t.Helper()
	a := &answers{t: t, stores: stores, rules: MergeRules(t), sent: make(map[string]string), data: make(map[uint64]string)}
	a.add("status", `"before"`)
	a.answer("long", 600, 0)
	a.has("long")
	a.add("parts", `{"type":"end","id":"long"}`)
	a.answer("among others", 300, 60) // and five of these
	a.has("long", "among others")
	for i := range KeptMessages - 1 { // the answer ends when the next message of the topic comes
		a.add("status", fmt.Sprint(i))
	}
	a.has("among others")
	a.whole()
	for i := range 2 * KeptMessages {
		a.answer(fmt.Sprint("answer ", i), 40, 0)
	}
	a.whole()
	a.has("answer 8", "answer 9", "answer 15")
	for range 20 * KeptMessages {
		a.add("status", `"more"`)
	}
	a.whole()
	for _, part := range []string{
		`{"type":"delta","id":"twice","delta":"a","n":1}`,
		`{"type":"delta","id":"twice","delta":"\u0062","n":2}`,
		`{"n":3,"delta":"c","id":"twice","type":"delta"}`,
		`{"type":"delta","id":"twice","delta":""}`,
	} {
		a.add("parts", part)
	}
	a.sent["twice"] = "abc"
	a.has("twice")
	a.whole()
}

// answers publishes the parts of answers, and other messages, to one channel.
type answers struct {
	t      *testing.T
	stores []Store
	rules  *schemas.MergeRules
	sent   map[string]string // texts by the ids of the answers
	data   map[uint64]string // by position
}

func (a *answers) add(topic schemas.Topic, data string) {
	a.t.Helper()
	e := entry("merged", data, "")
	e.Topic, e.Limits.Messages, e.Limits.TextBytes, e.Limits.Merge = topic, KeptMessages, 1<<20, a.rules
	a.data[put(a.t, a.stores[0], e).ID.Seq] = data
}

// answer publishes an answer of some parts and, after each so many of them, another message;
// 0: none.
func (a *answers) answer(id string, parts, other int) {
	a.t.Helper()
	for i := range parts {
		text := fmt.Sprintf("%s-%d, ", id, i)
		a.add("parts", fmt.Sprintf(`{"type":"delta","id":%q,"delta":%q,"more":{"x":[1,2.50]}}`, id, text))
		a.sent[id] += text
		if other > 0 && i%other == 0 {
			a.add("log", fmt.Sprint(i))
		}
	}
}

// kept returns what a store has of the answers. Each message must be what was published, or
// stand for several.
func (a *answers) kept(s Store) map[string]string {
	a.t.Helper()
	texts := make(map[string]string)
	last := uint64(0)
	for _, m := range kept(a.t, s, "merged") {
		if m.ID.Seq <= last || m.FirstID == (schemas.ID{}) && string(m.Data) != a.data[m.ID.Seq] {
			a.t.Errorf("at %d, after %d, is %s, want %s", m.ID.Seq, last, m.Data, a.data[m.ID.Seq])
		}
		last = m.ID.Seq
		var part struct{ ID, Delta string }
		if m.Topic != "parts" {
			continue
		}
		if err := json.Unmarshal(m.Data, &part); err != nil {
			a.t.Fatal(err)
		}
		texts[part.ID] += part.Delta
	}
	return texts
}

// has wants the stores to have the answers whole.
func (a *answers) has(ids ...string) {
	a.t.Helper()
	for i, s := range a.stores {
		got := a.kept(s)
		for _, id := range ids {
			if got[id] != a.sent[id] {
				a.t.Errorf("store %d has %q of the answer %s, want %q", i, got[id], id, a.sent[id])
			}
		}
	}
}

// whole wants the stores to have each answer whole, or nothing of it.
func (a *answers) whole() {
	a.t.Helper()
	for i, s := range a.stores {
		for id, text := range a.kept(s) {
			if text != a.sent[id] {
				a.t.Errorf("store %d has %q of the answer %s, want %q", i, text, id, a.sent[id])
			}
		}
	}
}
