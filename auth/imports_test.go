package auth_test

import (
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
)

// The package stands on the standard library, schemas and three libraries, each
// of which few files know: exchanging one is a change of those.
func TestImports(t *testing.T) {
	allowed := map[string][]string{
		"github.com/sluicehq/sluice/schemas": nil, // nil: anywhere

		"github.com/sluicehq/sluice/internal/strictjson":  {"json.go"},
		"github.com/sluicehq/sluice/internal/watchedfile": nil,
		"github.com/sluicehq/sluice/internal/yamldoc":     {"apikeydocument.go"},
		"github.com/sluicehq/sluice/internal/seededhash":  {"cache.go"},

		"github.com/lestrrat-go/jwx/v2/jwa": {"signature.go"},
		"github.com/lestrrat-go/jwx/v2/jws": {"signature.go"},
		"github.com/lestrrat-go/jwx/v2/jwk": {"jwk.go", "keyring.go"},
		"github.com/allegro/bigcache/v3":    {"cache.go"},
		"go.yaml.in/yaml/v3":                {"issuers.go"},
	}
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".go") || strings.HasSuffix(file.Name(), "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file.Name(), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range parsed.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if first, _, _ := strings.Cut(path, "/"); !strings.Contains(first, ".") {
				continue // the standard library
			}
			where, ok := allowed[path]
			if !ok || where != nil && !strings.Contains(strings.Join(where, " "), file.Name()) {
				t.Errorf("%s imports %s", file.Name(), path)
			}
		}
	}
}
