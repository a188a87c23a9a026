package schemas_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/sluicehq/sluice/schemas"
)

func TestCatalog_For(t *testing.T) {
	c := schemas.NewCatalog(schemas.Limits{})
	for _, name := range []string{
		"pipeline:{runId}", "pipeline:run_42", "pipeline:{runId}:steps", "pipeline:nightly-{n}", "user-{id}.log", "{tenant}:x",
		"{tenant}:{any}:z", "é{x}é",
	} {
		if err := c.Put(schemas.Definition{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		channel schemas.Channel
		want    string
	}{
		{"pipeline:run_42", "pipeline:run_42"},
		{"pipeline:run_421", "pipeline:{runId}"},
		{"pipeline:nightly-", "pipeline:{runId}"},
		{"pipeline:nightly-1", "pipeline:nightly-{n}"},
		{"pipeline:x:steps", "pipeline:{runId}:steps"},
		{"pipeline:x:stepss", ""},
		{"pipeline:x:z", "{tenant}:{any}:z"},
		{"pipeline:", ""},
		{"pipeline", ""},
		{"pipeline:a:b:c", ""},
		{"pipeline:x", "pipeline:{runId}"},
		{"user-1.log", "user-{id}.log"},
		{"user-.log", ""},
		{"user-a.log.log", "user-{id}.log"},
		{"user-a:b.log", ""},
		{"a/b:x", "{tenant}:x"},
		{":x", ""},
		{"a:x:", ""},
		{"éé", ""},
		{"é🙂é", "é{x}é"},
		{"x", ""},
	}
	for _, tt := range tests {
		got := ""
		if d := c.For(tt.channel); d != nil {
			got = d.Name()
		}
		if got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.channel, got, tt.want)
		}
	}
}

func TestCatalog_For_doesNotAllocate(t *testing.T) {
	c := schemas.NewCatalog(schemas.Limits{})
	for _, name := range []string{"pipeline:{runId}", "pipeline:{runId}:steps", "user-{id}.log", "exact"} {
		if err := c.Put(schemas.Definition{Name: name, Topics: map[string]schemas.TopicDefinition{"t": {}}, Strict: true}); err != nil {
			t.Fatal(err)
		}
	}
	data := []byte(`{}`)
	n := testing.AllocsPerRun(100, func() {
		for _, channel := range []schemas.Channel{"pipeline:run_42", "exact", "none:of:them"} {
			if d := c.For(channel); d != nil && d.Check(context.Background(), "t", data) != nil {
				t.Fatal("refused")
			}
		}
	})
	if n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestCatalog_lifecycle(t *testing.T) {
	c := schemas.NewCatalog(schemas.Limits{})
	if c.For("a:1") != nil || len(c.List()) != 0 {
		t.Error("a new catalog is not empty")
	}
	def := define("a:{x}", `{"type":"string"}`)
	def.Replay = &schemas.ReplayLimits{Messages: 3}
	if err := c.Put(def); err != nil {
		t.Fatal(err)
	}
	def.Topics["t"], def.Replay.Messages = schemas.TopicDefinition{}, 4 // not the catalog's any more
	if err := c.For("a:1").Check(t.Context(), "t", []byte(`1`)); !errors.Is(err, schemas.ErrSchemaViolation) {
		t.Errorf("got %v", err)
	}
	if got, err := c.Get("a:{x}"); err != nil || encode(t, got) != `{"name":"a:{x}","topics":{"t":{"schema":{"type":"string"}}},"replay":{"messages":3}}` {
		t.Errorf("got %s, %v", encode(t, got), err)
	}
	before := c.For("a:1")
	if err := c.Put(schemas.Definition{Name: "a:{x}"}); err != nil {
		t.Fatal(err)
	}
	if err := c.For("a:1").Check(t.Context(), "t", []byte(`1`)); err != nil || before.Check(t.Context(), "t", []byte(`1`)) == nil {
		t.Error("it was not replaced, or what was given out has changed")
	}
	if got := before.Replay(); got != (schemas.ReplayLimits{Messages: 3}) {
		t.Errorf("replay %+v", got)
	}
	if got := c.For("a:1").Replay(); got != (schemas.ReplayLimits{}) {
		t.Errorf("replay %+v", got)
	}
	if err := c.Put(schemas.Definition{Name: "B"}); err != nil {
		t.Fatal(err)
	}
	if list := c.List(); len(list) != 2 || list[0].Name != "B" || list[1].Name != "a:{x}" {
		t.Errorf("list %+v", list)
	}
	if err := c.Delete("a:{x}"); err != nil || c.For("a:1") != nil || c.For("B") == nil {
		t.Errorf("after delete: %v", err)
	}
	if _, err := c.Get("a:{x}"); !errors.Is(err, schemas.ErrNoDefinition) {
		t.Errorf("get: %v", err)
	}
	if err := c.Delete("a:{x}"); !errors.Is(err, schemas.ErrNoDefinition) {
		t.Errorf("second delete: %v", err)
	}
}

func TestCatalog_PutAll(t *testing.T) {
	c := schemas.NewCatalog(schemas.Limits{})
	if err := c.Put(schemas.Definition{Name: "old"}); err != nil {
		t.Fatal(err)
	}
	err := c.PutAll([]schemas.Definition{{Name: "a"}, define("b", `{"type":1}`), {Name: "{"}, {Name: "d"}})
	var e *schemas.DefinitionError
	if !errors.As(err, &e) || !errors.Is(err, schemas.ErrBadDefinition) || len(e.Errors) != 3 ||
		e.Errors[0].Pointer != "/channels/2/name" || e.Errors[1].Pointer != "/channels/1/topics/t/schema/type" {
		t.Errorf("got %v", err)
	}
	err = c.PutAll([]schemas.Definition{{Name: "a"}, {Name: "a"}})
	checkFaults(t, err, schemas.ErrBadDefinition, []string{"/channels/1/name is defined twice"})
	if len(c.List()) != 1 {
		t.Error("something has changed")
	}
	if err := c.PutAll([]schemas.Definition{{Name: "a"}, {Name: "old", Strict: true}}); err != nil || len(c.List()) != 2 {
		t.Errorf("got %v, %v", err, c.List())
	}
	if old, _ := c.Get("old"); !old.Strict {
		t.Error("not replaced")
	}
}

func TestCatalog_limits(t *testing.T) {
	c := schemas.NewCatalog(schemas.Limits{Definitions: 2, DocumentBytes: 100, Topics: 2, SchemaDepth: 2})
	topics := func(n int) map[string]schemas.TopicDefinition {
		m := map[string]schemas.TopicDefinition{}
		for i := range n {
			m[fmt.Sprint(i)] = schemas.TopicDefinition{}
		}
		return m
	}
	exactly := func(n int) schemas.Definition {
		d := define("a", `{"$comment":""}`)
		return define("a", `{"$comment":"`+strings.Repeat("x", n-len(encode(t, d)))+`"}`)
	}
	for _, good := range []schemas.Definition{{Name: "a", Topics: topics(2)}, define("a", `{"not":{}}`), exactly(100)} {
		if err := c.Put(good); err != nil {
			t.Errorf("%s: %v", encode(t, good), err)
		}
	}
	checkFaults(t, c.Put(schemas.Definition{Name: "a", Topics: topics(3)}), schemas.ErrBadDefinition, []string{"/topics has 3 topics, at most 2 are allowed"})
	checkFaults(t, c.Put(define("a", `{"not":{"not":{}}}`)), schemas.ErrBadSchema, []string{"/topics/t/schema has 3 levels, at most 2 are allowed"})
	checkFaults(t, c.Put(exactly(101)), schemas.ErrBadDefinition, []string{" has 101 bytes, at most 100 are allowed"})

	if err := c.Put(schemas.Definition{Name: "b"}); err != nil {
		t.Fatal(err)
	}
	if err := c.Put(schemas.Definition{Name: "c"}); !errors.Is(err, schemas.ErrTooManyDefinitions) {
		t.Errorf("a third: %v", err)
	}
	if err := c.Put(schemas.Definition{Name: "b", Strict: true}); err != nil {
		t.Errorf("replacing one of two: %v", err)
	}
}

// TestCatalog_concurrent changes a definition between two forms while others
// check: each check sees one form whole.
func TestCatalog_concurrent(t *testing.T) {
	c := schemas.NewCatalog(schemas.Limits{})
	forms := []schemas.Definition{define("a:{x}", `{"type":"string"}`), define("a:{x}", `{"type":"number"}`)}
	if err := c.Put(forms[0]); err != nil {
		t.Fatal(err)
	}
	var writers, readers sync.WaitGroup
	done := make(chan struct{})
	for w := range 2 {
		writers.Go(func() {
			for i := range 100 {
				name := fmt.Sprintf("other:%d:{y}", w)
				if err := errors.Join(c.Put(forms[i%2]), c.Put(schemas.Definition{Name: name}), c.Delete(name)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				d := c.For("a:1")
				asString, asNumber := d.Check(context.Background(), "t", []byte(`"s"`)), d.Check(context.Background(), "t", []byte(`1`))
				if (asString == nil) == (asNumber == nil) {
					t.Errorf("neither form: %v, %v", asString, asNumber)
				}
				if len(c.List()) == 0 {
					t.Error("a moment without definitions")
				}
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
}

func BenchmarkCatalog_For(b *testing.B) {
	catalogs := []struct {
		name    string
		count   int
		format  string
		channel schemas.Channel
	}{
		{"1 definition", 1, "pipeline:{run}:step%d", "pipeline:run_42:step0"},
		{"1,000 of different prefixes", 1000, "kind%d:{run}", "kind500:run_42"},
		{"1,000 of one prefix", 1000, "pipeline:{run}:step%d", "pipeline:run_42:step500"},
		{"1,000 without a match", 1000, "pipeline:{run}:step%d", "pipeline:run_42:none"},
	}
	for _, bb := range catalogs {
		c := schemas.NewCatalog(schemas.Limits{})
		var defs []schemas.Definition
		for i := range bb.count {
			def := schemas.Definition{Name: fmt.Sprintf(bb.format, i)}
			if !strings.Contains(bb.format, "%") {
				def.Name = bb.format
			}
			defs = append(defs, def)
		}
		if err := c.PutAll(defs); err != nil {
			b.Fatal(err)
		}
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.For(bb.channel)
			}
		})
	}
}

// Check says what Put would, and changes nothing.
func TestCatalog_Check(t *testing.T) {
	c := schemas.NewCatalog(schemas.Limits{Definitions: 2})
	if err := c.Put(schemas.Definition{Name: "run:{id}"}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		def  schemas.Definition
		want error
	}{
		{schemas.Definition{Name: "a"}, nil},
		{schemas.Definition{Name: "run:{id}", Strict: true}, nil},
		{schemas.Definition{Name: "run:{other}"}, schemas.ErrBadDefinition},
		{schemas.Definition{Name: "{a}{b}"}, schemas.ErrBadDefinition},
		{schemas.Definition{Name: "b", Topics: map[string]schemas.TopicDefinition{"t": {Schema: []byte(`{"type":1}`)}}}, schemas.ErrBadSchema},
	} {
		if err := c.Check(tt.def); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.def.Name, err, tt.want)
		}
	}
	if all := c.List(); len(all) != 1 || all[0].Strict {
		t.Errorf("it holds %+v", all)
	}
	if err := c.Put(schemas.Definition{Name: "a"}); err != nil {
		t.Fatal(err)
	}
	if err := c.Check(schemas.Definition{Name: "b"}); !errors.Is(err, schemas.ErrTooManyDefinitions) {
		t.Errorf("too many: got %v", err)
	}
}
