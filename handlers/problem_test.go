package handlers_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/handlers"
	"github.com/sluicehq/sluice/schemas"
)

// exportedErrors returns the text of every exported Err variable of the package in dir, by name.
// The text identifies the value.
func exportedErrors(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in %s: %v", dir, err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range parsed.Decls {
			if group, ok := decl.(*ast.GenDecl); ok && group.Tok == token.VAR {
				for _, spec := range group.Specs {
					maps.Copy(found, errorsIn(t, spec.(*ast.ValueSpec)))
				}
			}
		}
	}
	return found
}

func errorsIn(t *testing.T, spec *ast.ValueSpec) map[string]string {
	t.Helper()
	found := map[string]string{}
	for i, name := range spec.Names {
		if !strings.HasPrefix(name.Name, "Err") {
			continue
		}
		var text *ast.BasicLit
		if i < len(spec.Values) {
			if made, ok := spec.Values[i].(*ast.CallExpr); ok && len(made.Args) == 1 {
				text, _ = made.Args[0].(*ast.BasicLit)
			}
		}
		if text == nil {
			t.Fatalf("%s is not made of one text: this test cannot find its value", name.Name)
		}
		found[name.Name] = strings.Trim(text.Value, "\"`")
	}
	return found
}

// unmapped returns the exported errors that do not belong in the table, and why.
func unmapped() map[string]string {
	return map[string]string{}
}

func TestProblem_everyExportedError(t *testing.T) {
	mapped := map[string]bool{}
	for _, err := range handlers.Mapped() {
		if mapped[err.Error()] {
			t.Errorf("%v stands twice in the table", err)
		}
		mapped[err.Error()] = true
	}
	exceptions := unmapped()
	for _, dir := range []string{"auth", "broker", "broker/ring", "broker/texts", "broker/engine", "broker/engine/clusterstate", "schemas", "internal/strictjson", "internal/ratelimit", "handlers"} {
		found := exportedErrors(t, filepath.Join("..", dir))
		if len(found) == 0 {
			t.Fatalf("found no errors in %s", dir)
		}
		for _, name := range slices.Sorted(maps.Keys(found)) {
			full := filepath.Base(dir) + "." + name
			why, excepted := exceptions[full]
			switch {
			case mapped[found[name]] == excepted && excepted:
				t.Errorf("%s is in the table, and on the list of those that are not (%s)", full, why)
			case !mapped[found[name]] && !excepted:
				t.Errorf("%s has no place in mappings: it would be answered as 500", full)
			}
			delete(exceptions, full)
			delete(mapped, found[name])
		}
	}
	for name := range exceptions {
		t.Errorf("%s is on the list of exceptions and does not exist", name)
	}
	for text := range mapped {
		t.Errorf("%q is in mappings and no exported error", text)
	}
}

// If errors wrap each other, as the packages do it, the more specific one counts.
func TestProblem_order(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"nothing known", os.ErrNotExist, "internal"},
		{"wrapped", fmt.Errorf("deep: %w", fmt.Errorf("deeper: %w", engine.ErrRunFinished)), "conflict"},
		{"issuer not fetched", fmt.Errorf("%w: %w", auth.ErrUnauthorized, auth.ErrIssuerUnavailable), "engine-unavailable"},
		{"bad channel in a grant", fmt.Errorf("%w: %w", schemas.ErrBadGrant, schemas.ErrBadChannel), "malformed"},
		{"violation", &schemas.Violation{Topic: "t"}, "schema-violation"},
		{"unknown topic", fmt.Errorf("%w: \"t\"", schemas.ErrUnknownTopic), "unknown-topic"},
		{"bad definition", &schemas.DefinitionError{Err: schemas.ErrBadDefinition}, "bad-schema"},
		{"bad schema", &schemas.DefinitionError{Err: schemas.ErrBadSchema}, "bad-schema"},
		{"broken off while draining", errors.Join(handlers.ErrMalformed, broker.ErrDraining), "draining"},
		{"malformed while draining", fmt.Errorf("%w: %w", handlers.ErrMalformed, broker.ErrClosed), "draining"},
		{"a schema's topic name", fmt.Errorf("%w: %w", schemas.ErrUnknownTopic, schemas.ErrBadTopic), "unknown-topic"},
	} {
		if got := handlers.KindOf(tt.err); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// The kinds of problems have the statuses that clients rely on.
func TestProblem_statuses(t *testing.T) {
	want := map[string]int{
		"malformed": 400, "unauthorized": 401, "forbidden": 403, "not-found": 404, "method-not-allowed": 405, "request-timeout": 408, "conflict": 409, "superseded": 409, "too-large": 413,
		"unsupported-media-type": 415, "schema-violation": 422, "unknown-topic": 422, "bad-schema": 422, "rate-limited": 429, "too-many-streams": 429,
		"internal": 500, "draining": 503, "engine-unavailable": 503, "engine-timeout": 504,
	}
	if got := handlers.Kinds(); !maps.Equal(got, want) {
		t.Errorf("kinds %v, want %v", got, want)
	}
}
