package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestDocs_go compiles and vets the Go of each page, as it stands there. A block
// with a package clause is a program. Others are fragments:
//
//   - declarations stand at the top of one package, which is the page's, so that
//     all its fragments know them;
//   - statements are the body of a function in that package,
//     func(ctx context.Context, sluice *client.Client) error.
//
// A fragment imports what it uses, if importable knows it.
func TestDocs_go(t *testing.T) {
	t.Parallel()
	if err := checkGo(t, pages(t)); err != nil {
		t.Error(err)
	}
}

// importable are the packages that fragments need not import.
func importable() map[string]string {
	paths := map[string]string{
		"json": "encoding/json", "http": "net/http",
		"client": "github.com/sluicehq/sluice/client", "schemas": "github.com/sluicehq/sluice/schemas",
	}
	for _, path := range []string{"context", "errors", "fmt", "io", "iter", "log", "os", "slices", "strings", "time"} {
		paths[path] = path
	}
	return paths
}

// checkGo compiles the Go blocks of pages in a module of their own, as their
// readers do. Errors name the page and the line.
func checkGo(t testing.TB, all []page) error {
	t.Helper()
	module := userModule(t)
	for _, p := range all {
		for _, b := range p.of("go") {
			source, err := goFile(p.name, b)
			if err != nil {
				return err
			}
			pkg := filepath.Join(module, strings.TrimSuffix(p.name, ".md"))
			if isProgram(b) {
				pkg = filepath.Join(pkg, fmt.Sprintf("line%d", b.line))
			}
			if err := os.MkdirAll(pkg, 0o700); err != nil {
				return err
			}
			replace(t, filepath.Join(pkg, fmt.Sprintf("line%d.go", b.line)), source)
		}
	}
	vet := exec.CommandContext(t.Context(), "go", "vet", "./...")
	vet.Dir = module
	if out, err := vet.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// userModule makes a module that requires this one, with what this one requires,
// so that nothing has to be fetched.
func userModule(t testing.TB) string {
	t.Helper()
	repository, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(repository, name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "go.mod" {
			const own = "github.com/sluicehq/sluice"
			text = bytes.Replace(text, []byte("module "+own+"\n"), []byte("module example.com/user\n"), 1)
			text = fmt.Appendf(text, "\nrequire %s v0.0.0\n\nreplace %s => %s\n", own, own, repository)
		}
		replace(t, filepath.Join(dir, name), text)
	}
	return dir
}

func isProgram(b block) bool { return strings.HasPrefix(b.text, "package ") }

// goFile returns the file that a block becomes. A line directive before its first
// line makes the compiler speak of the page.
func goFile(name string, b block) ([]byte, error) {
	if formatted, err := format.Source([]byte(b.text)); err != nil {
		return nil, fmt.Errorf("%s: line %d: %w", name, b.line, err)
	} else if !bytes.Equal(formatted, []byte(b.text)) {
		return nil, fmt.Errorf("%s: line %d: gofmt would write\n%s", name, b.line, formatted)
	}
	file, err := filepath.Abs(filepath.Join("../docs", name))
	if err != nil {
		return nil, err
	}
	directive := fmt.Sprintf("//line %s:%d\n", file, b.line+1)
	if isProgram(b) {
		return []byte(directive + b.text), nil
	}
	declarations := "package page\n\n" + directive + b.text
	if tree, err := parser.ParseFile(token.NewFileSet(), "", declarations, 0); err == nil {
		return []byte(withImports(tree, "package page\n", directive+b.text)), nil
	}
	body := "func _(ctx context.Context, sluice *client.Client) error {\n" + directive + b.text
	tree, err := parser.ParseFile(token.NewFileSet(), "", "package page\n\n"+body+"}\n", 0)
	if err != nil {
		return nil, fmt.Errorf("%s: line %d: neither declarations nor statements: %w", name, b.line, err)
	}
	if !returns(tree) {
		body += "return nil\n"
	}
	return []byte(withImports(tree, "package page\n", body+"}\n")), nil
}

// returns reports whether the last statement of the one function is a return.
func returns(tree *ast.File) bool {
	statements := tree.Decls[0].(*ast.FuncDecl).Body.List
	if len(statements) == 0 {
		return false
	}
	_, last := statements[len(statements)-1].(*ast.ReturnStmt)
	return last
}

// withImports puts the imports that a file lacks after its package clause.
func withImports(tree *ast.File, clause, rest string) string {
	known, missing := importable(), map[string]bool{}
	for _, spec := range tree.Imports {
		delete(known, filepath.Base(strings.Trim(spec.Path.Value, `"`)))
	}
	for _, name := range tree.Unresolved { // within the file
		if known[name.Name] != "" {
			missing[known[name.Name]] = true
		}
	}
	for _, path := range slices.Sorted(maps.Keys(missing)) {
		clause += fmt.Sprintf("import %q\n", path)
	}
	return clause + rest
}

// TestDocs_checkGo shows that Go with a fault is found out, with its place.
func TestDocs_checkGo(t *testing.T) {
	t.Parallel()
	const declaration = "```go\ntype Status struct {\n\tMessage string `json:\"message\"`\n}\n\nvar status = client.Topic[Status](\"status\")\n```\n"
	for _, tt := range []struct{ name, markdown, fault string }{
		{"good", declaration + "So:\n```go\nif _, err := status.Publish(ctx, sluice, \"a\", Status{}); err != nil {\n\treturn err\n}\n```\n```go\npackage main\n\nfunc main() {}\n```\n", ""},
		{"a program", "```go\npackage main\n\nfunc main() { nobody() }\n```\n", "page.md:4: undefined: nobody"},
		{"a declaration", "```go\ntype A struct{ b B }\n```\n", "page.md:2: undefined: B"},
		{"a statement", declaration + "```go\n_, err := status.Publish(ctx, sluice, \"a\", 7)\nreturn err\n```\n", "page.md:9: cannot use 7"},
		{"what vet finds", "```go\nfmt.Printf(\"%d\", \"a\")\n```\n", "page.md:2:"},
		{"no Go", "```go\nif {\n```\n", "page.md: line 1:"},
		{"not formatted", "```go\nx :=1\nfmt.Println(x)\n```\n", "page.md: line 1: gofmt would write"},
		{"an unknown import", "```go\nimport \"example.com/none\"\n\nvar _ = none.A\n```\n", "example.com/none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all, err := blocks(tt.markdown)
			if err == nil {
				err = checkGo(t, []page{{"page.md", all}})
			}
			switch {
			case tt.fault == "" && err != nil:
				t.Error(err)
			case tt.fault != "" && (err == nil || !strings.Contains(err.Error(), tt.fault)):
				t.Errorf("the fault is %v, want %q", err, tt.fault)
			}
		})
	}
}

// TestDocs_json reads the JSON of each page. A comment before it names its file.
func TestDocs_json(t *testing.T) {
	t.Parallel()
	for _, p := range pages(t) {
		for _, b := range p.of("json") {
			text := b.text
			if strings.HasPrefix(text, "// ") {
				_, text, _ = strings.Cut(text, "\n")
			}
			if !json.Valid([]byte(text)) {
				t.Errorf("%s: line %d: it is not JSON", p.name, b.line)
			}
		}
	}
}

// TestDocs_programs builds the first program of the page on Go and runs it.
func TestDocs_programs(t *testing.T) {
	t.Parallel()
	at := slices.IndexFunc(pages(t), func(p page) bool { return p.name == "go.md" })
	if at < 0 {
		t.Fatal("there is no go.md")
	}
	for _, b := range pages(t)[at].of("go") {
		if isProgram(b) {
			s := start(t)
			program := buildProgram(t, b.text)
			out := launch(t, nil, []string{"SLUICE_URL=" + s.url, "SLUICE_API_KEY=" + s.key}, program).succeeds(t)
			if out == "" {
				t.Errorf("line %d: the program prints nothing", b.line)
			}
			return
		}
	}
	t.Error("there is no program")
}

// buildProgram compiles a program as if it stood in the module.
func buildProgram(t testing.TB, text string) string {
	t.Helper()
	dir := t.TempDir()
	source, overlay, program := filepath.Join(dir, "main.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "program")
	replace(t, source, []byte(text))
	place, err := filepath.Abs("example/main.go")
	if err != nil {
		t.Fatal(err)
	}
	replacement, err := json.Marshal(map[string]any{"Replace": map[string]string{place: source}})
	if err != nil {
		t.Fatal(err)
	}
	replace(t, overlay, replacement)
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-overlay", overlay, "-o", program, "./example").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}
