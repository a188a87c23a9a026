package arch_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
)

// maxFiles is how many files a package may have, apart from its tests. With more
// of them nobody finds their way: it is several packages.
const maxFiles = 35

// maxBrokerMethods limits the methods of broker.Broker, exported or not. It is a
// facade: what needs more than it has is a type of its own.
const maxBrokerMethods = 44

// packages returns the Go files of the module by folder.
func packages(t *testing.T) map[string][]string {
	t.Helper()
	byFolder := map[string][]string{}
	for _, file := range goFiles(t) {
		byFolder[path.Dir(file)] = append(byFolder[path.Dir(file)], file)
	}
	if len(byFolder) == 0 {
		t.Fatal("found no package")
	}
	return byFolder
}

// isTest reports whether file is compiled into tests only.
func isTest(file string) bool { return strings.HasSuffix(file, "_test.go") }

func TestPackages_size(t *testing.T) {
	for folder, files := range packages(t) {
		n := len(slices.DeleteFunc(files, isTest))
		if n > maxFiles {
			t.Errorf("%s has %d files, want at most %d: split it where its parts do not refer back and forth", folder, n, maxFiles)
		}
	}
}

// TestPackages_comment wants one comment a package, which says what it is. That
// of a package without anything but tests stands in one of these.
func TestPackages_comment(t *testing.T) {
	for folder, files := range packages(t) {
		if code := slices.DeleteFunc(slices.Clone(files), isTest); len(code) > 0 {
			files = code
		}
		var found []string
		for _, file := range files {
			parsed := parse(t, file, parser.PackageClauseOnly|parser.ParseComments)
			if parsed.Doc == nil {
				continue
			}
			found = append(found, file)
			text, name := parsed.Doc.Text(), parsed.Name.Name
			if name == "main" {
				name = path.Base(folder)
			}
			if !strings.HasPrefix(text, "Package "+name+" ") && !strings.HasPrefix(text, "Command ") {
				t.Errorf("the comment of package %s begins with %.40q", folder, text)
			}
		}
		if len(found) != 1 {
			t.Errorf("package %s has %d comments, want 1: %v", folder, len(found), found)
		}
	}
}

// TestPackages_circles counts the imports of tests, too: a package is tested
// without those that are built on it. Of what is not a test the compiler makes
// sure.
func TestPackages_circles(t *testing.T) {
	imports := map[string][]string{}
	for folder, files := range packages(t) {
		for _, file := range files {
			for _, imported := range importsOf(t, file) {
				if other, ours := strings.CutPrefix(imported, module+"/"); ours && other != folder {
					imports[folder] = append(imports[folder], other)
				}
			}
		}
	}
	done := map[string]bool{}
	for _, folder := range slices.Sorted(maps.Keys(imports)) {
		if circle := circleFrom(folder, imports, done, nil); circle != nil {
			t.Fatalf("these packages and their tests import each other: %s", strings.Join(circle, " → "))
		}
	}
}

// circleFrom returns the first circle that it meets on the way from a package, nil
// if there is none. It does not go where it has been.
func circleFrom(folder string, imports map[string][]string, done map[string]bool, way []string) []string {
	if i := slices.Index(way, folder); i >= 0 {
		return append(way[i:], folder)
	}
	if done[folder] {
		return nil
	}
	way = append(way, folder)
	for _, next := range imports[folder] {
		if circle := circleFrom(next, imports, done, way); circle != nil {
			return circle
		}
	}
	done[folder] = true
	return nil
}

func TestBroker_methods(t *testing.T) {
	var methods []string
	for _, file := range packages(t)["broker"] {
		if isTest(file) {
			continue
		}
		for _, decl := range parse(t, file, parser.SkipObjectResolution).Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && receiver(f) == "Broker" {
				methods = append(methods, f.Name.Name)
			}
		}
	}
	if n := len(methods); n == 0 || n > maxBrokerMethods {
		t.Errorf("Broker has %d methods, want 1 to %d: %v", n, maxBrokerMethods, methods)
	}
}

// receiver returns the name of the type that f is a method of, "" for a function.
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	kind := f.Recv.List[0].Type
	if pointer, ok := kind.(*ast.StarExpr); ok {
		kind = pointer.X
	}
	name, _ := kind.(*ast.Ident) // nil for a generic type
	if name == nil {
		return ""
	}
	return name.Name
}

func parse(t *testing.T, file string, mode parser.Mode) *ast.File {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), path.Join(root, file), nil, mode)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}
