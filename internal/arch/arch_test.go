// Package arch_test holds the import rules of the module. They are what keeps a
// part replaceable: server imports handlers, handlers imports auth and broker,
// those import schemas, and each library is met in one place.
package arch_test

import (
	"go/parser"
	"io/fs"
	"os"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// module is the path of this module, root the folder it stands in.
const (
	module = "github.com/sluicehq/sluice"
	root   = "../.."
)

// rule says who may import a package.
type rule struct {
	name    string
	imports string   // a package and all below it; with a "$" at its end the package alone, with a "/" those below it
	by      []string // folders with all below them, folders alone ("broker/*.go"), and single files
	byTests bool     // and every _test.go
	why     string
}

// rules lists every package of this module that another one imports, and every
// library. What is not on the list may not be imported; what several rules are
// about must satisfy each of them. .golangci.yml has the same rules, for editors.
func rules() []rule {
	return []rule{
		{"schemas", module + "/schemas", []string{"auth", "broker", "client", "handlers", "internal/system", "presence", "server", "webhooks"}, true, "schemas are the words of the wire: every part but the page speaks them"},
		{"auth", module + "/auth", []string{"handlers", "server"}, true, "auth and broker do not know each other: handlers bring them together"},
		{"broker", module + "/broker$", []string{"handlers", "internal/system", "server"}, true, "what the broker is built from does not know the broker; auth does not either, handlers bring them together"},
		{"audience", module + "/broker/audience", []string{"broker/*.go", "presence"}, true, "a broker tells who reads, presence makes something of it"},
		{"presence", module + "/presence", []string{"handlers", "server"}, true, "the broker knows an audience, not what it is for"},
		{"broker-parts", module + "/broker/internal/", []string{"broker/*.go"}, true, "loops and timers are how the broker works, engines have nothing to do with it"},
		{"ring", module + "/broker/ring", []string{"broker/*.go", "broker/texts", "handlers"}, true, "an engine delivers entries, it does not know how the broker holds them"},
		{"texts", module + "/broker/texts", []string{"broker/*.go", "handlers"}, true, "an engine keeps the record of a text, it does not know what attempts mean"},
		{"engine", module + "/broker/engine", []string{"broker", "handlers", "internal/system", "server", "webhooks"}, true, "engines are part of the broker"},
		{"clusterstate", module + "/broker/engine/clusterstate", []string{"broker/engine", "handlers", "server"}, true, "engines keep the state, HTTP and the program know what it means, the broker does neither"},
		{"outbox", module + "/broker/engine/outbox", []string{"broker", "server", "webhooks"}, true, "engines keep events, the broker has some to tell, and webhooks send them; HTTP does none of that"},
		{"webhooks", module + "/webhooks", []string{"handlers", "server"}, true, "the program starts them, and HTTP shows how they do; nothing else knows who is told"},
		{"disk", module + "/broker/engine/disk$", []string{"server"}, true, "an engine is chosen by the program; the broker knows only what engines have in common"},
		{"disk-parts", module + "/broker/engine/disk/", []string{"broker/engine/disk"}, true, "how an engine works is its own business"},
		{"nats", module + "/broker/engine/nats$", []string{"server"}, true, "an engine is chosen by the program; the broker knows only what engines have in common"},
		{"nats-parts", module + "/broker/engine/nats/", []string{"broker/engine/nats"}, true, "how an engine works is its own business"},
		{"handlers", module + "/handlers", []string{"server"}, true, "only the program puts HTTP in front of the parts"},
		{"program", module + "/server/program$", []string{"server/main.go", "cmd/sluice"}, false, "the program is started, not used"},
		{"hangup", module + "/server/program/hangup", []string{"server/program"}, true, "only the program has standard streams"},
		{"doctor", module + "/server/doctor", []string{"server/program"}, true, "the program tells what is found; the doctor knows a server from outside alone"},
		{"top", module + "/server/top", []string{"server/program"}, true, "the program shows what top makes of metrics"},
		{"systemd", module + "/server/program/systemd", []string{"server/program"}, true, "only the program is a service"},
		{"memory", module + "/server/program/memory", []string{"server/program"}, true, "the program owns the heap, parts do not know of it"},
		{"signals", module + "/server/program/signals", []string{"server/program"}, true, "only the program gets signals"},
		{"client", module + "/client", []string{"server"}, true, "the client stands alone, only commands use it"},
		{"web", module + "/web", []string{"handlers", "server"}, true, "the page is served, not known"},
		{"delivery", module + "/internal/delivery", []string{"broker/*.go", "internal/tracing", "server/program"}, true, "the broker says how far messages have come, tracing makes spans of it, the program brings the two together"},
		{"tracing", module + "/internal/tracing", []string{"handlers", "server/program"}, true, "handlers know when a request begins and ends; the program has the tracer"},
		{"door", module + "/internal/door", []string{"server", "internal/front"}, true, "the program lets connections in; handlers are told what they need to know"},
		{"front", module + "/internal/front", []string{"handlers/front.go", "server"}, true, "the front answers one kind of request, everything else is net/http's and echo's"},
		{"histogram", module + "/internal/histogram", []string{"broker", "handlers", "internal/system"}, true, "parts count, handlers expose"},
		{"highwater", module + "/internal/highwater", []string{"broker"}, true, "positions of broker and engines alone are raised by many at once"},
		{"origin", module + "/internal/origin", []string{"handlers", "server"}, true, "handlers know pages, the program reads which may come"},
		{"proxies", module + "/internal/proxies", []string{"handlers"}, true, "only handlers know who a request came through"},
		{"ratelimit", module + "/internal/ratelimit", []string{"handlers", "server"}, true, "handlers know who calls; the program is told how much that may be"},
		{"rawio", module + "/internal/rawio", []string{"internal/door"}, true, "every connection comes in through the door"},
		{"seededhash", module + "/internal/seededhash", []string{"auth/cache.go", "broker/internal/idempotency/receipts.go"}, true, "caches whose keys come from outside"},
		{"watchedfile", module + "/internal/watchedfile", []string{"auth", "webhooks"}, true, "what has files that are read again"},
		{"yamldoc", module + "/internal/yamldoc", []string{"auth", "webhooks"}, true, "what has files of its own"},
		{"strictjson", module + "/internal/strictjson", []string{"auth", "handlers", "schemas"}, true, "what reads JSON from outside"},
		{"system", module + "/internal/system", []string{"handlers", "server"}, true, "handlers know who may read it; the program says which node it is"},
		{"tlsrecord", module + "/internal/tlsrecord", []string{"broker/*.go", "handlers", "internal/tlstap"}, true, "writer loops seal records, handlers pass on what seals them, and who derives keys shows that they are right"},
		{"tlstap", module + "/internal/tlstap", []string{"handlers", "server"}, true, "the program puts the tap in, handlers take connections over; writer loops get what is left: a socket and what seals"},
		{"testreport", module + "/internal/testreport", []string{"scripts"}, true, "part of the gate, not of the program"},

		{"natstest", module + "/internal/natstest", nil, true, "for tests"},
		{"leaktest", module + "/internal/leaktest", nil, true, "for tests"},
		{"enginetest", module + "/broker/engine/enginetest", nil, true, "for tests"},

		{"pebble", "github.com/cockroachdb/pebble", []string{"broker/engine/disk"}, false, "one engine's tables"},
		{"nats-go", "github.com/nats-io/nats.go", []string{"broker/engine/nats"}, true, "one engine's connection, and a peer in tests"},
		{"nats-jetstream", "github.com/nats-io/nats.go/jetstream", []string{"broker/engine/nats/internal/jetstream"}, true, "one package knows how JetStream answers, the engine knows what its messages mean"},
		{"nkeys", "github.com/nats-io/nkeys", nil, true, "for tests of credentials"},
		{"echo", "github.com/labstack/echo", []string{"handlers", "server"}, false, "HTTP stays in handlers"},
		{"jwx", "github.com/lestrrat-go/jwx", []string{"auth"}, false, "the next major version is to be a change of one package"},
		{"bigcache", "github.com/allegro/bigcache", []string{"auth/cache.go", "broker/internal/idempotency/receipts.go"}, false, "each cache is one file, with its limits beside it"},
		{"r3labs-sse", "github.com/r3labs/sse", []string{"client"}, true, "the client's wire decoder, and a peer in tests"},
		{"go-sse", "github.com/tmaxmax/go-sse", nil, true, "a peer in tests"},
		{"goleak", "go.uber.org/goleak", []string{"internal/leaktest"}, false, "one place says how long goroutines may take to end"},
		{"testscript", "github.com/rogpeppe/go-internal", nil, true, "for tests"},
		{"x-sys", "golang.org/x/sys", []string{"broker/internal/netpoll", "server/program/hangup"}, true, "system calls are what the writer loops stand on; hangup has the one that tells of a closed pipe"},
		{"x-crypto", "golang.org/x/crypto", []string{"internal/tlsrecord"}, false, "the one cipher suite of TLS 1.3 that the standard library keeps for itself"},
		{"kong", "github.com/alecthomas/kong", []string{"server"}, false, "flags are read by the program, parts are handed values"},
		{"isatty", "github.com/mattn/go-isatty", []string{"server"}, false, "only the program knows its terminal"},
		{"go-systemd", "github.com/coreos/go-systemd", []string{"server/program/systemd"}, false, "one place talks to systemd"},
		{"prometheus", "github.com/prometheus", []string{"handlers", "server/top"}, false, "parts count, handlers expose, and top reads that"},
		{"opentelemetry", "go.opentelemetry.io", []string{"internal/tracing"}, false, "one package makes spans, the others say what happens"},
		{"logr", "github.com/go-logr/logr", []string{"internal/tracing"}, false, "how OpenTelemetry's library logs"},
		{"jsonschema", "github.com/santhosh-tekuri/jsonschema", []string{"schemas"}, true, "schemas are compiled in one place, with loaders off; tests hold answers to the OpenAPI document"},
		{"yaml", "go.yaml.in/yaml", []string{"schemas", "auth", "server", "internal/yamldoc"}, true, "only what reads configuration files, and tests"},
	}
}

// covers reports whether the rule is about a package.
func (r rule) covers(imported string) bool {
	if alone, found := strings.CutSuffix(r.imports, "$"); found {
		return imported == alone
	}
	return imported == r.imports || strings.HasPrefix(imported, strings.TrimSuffix(r.imports, "/")+"/")
}

// mayImport reports whether the rule lets file import what it is about.
func (r rule) mayImport(file string) bool {
	if r.byTests && strings.HasSuffix(file, "_test.go") {
		return true
	}
	return slices.ContainsFunc(r.by, func(place string) bool {
		if folder, found := strings.CutSuffix(place, "/*.go"); found {
			return path.Dir(file) == folder
		}
		return file == place || strings.HasPrefix(file, place+"/")
	})
}

func TestImports(t *testing.T) {
	files := goFiles(t)
	if len(files) == 0 {
		t.Fatal("found no Go file")
	}
	for _, file := range files {
		for _, imported := range importsOf(t, file) {
			checkImport(t, file, imported)
		}
	}
}

func checkImport(t *testing.T, file, imported string) {
	t.Helper()
	if standard(imported) {
		return
	}
	if strings.HasSuffix(file, "_test.go") && imported == path.Join(module, path.Dir(file)) {
		return // the package under test
	}
	ruled := false
	for _, r := range rules() {
		if !r.covers(imported) {
			continue
		}
		ruled = true
		if !r.mayImport(file) {
			t.Errorf("%s imports %s, only %v may (tests: %t): %s", file, imported, r.by, r.byTests, r.why)
		}
	}
	if !ruled {
		t.Errorf("%s imports %s, which has no rule: say in the table who may import it and why", file, imported)
	}
}

// goFiles returns every Go file of the module, whatever system it is for,
// relative to the root.
func goFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && name != "." && outside(name, entry.Name()) {
			return fs.SkipDir
		}
		if !entry.IsDir() && path.Ext(name) == ".go" {
			files = append(files, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// outside reports folders that the go command does not count to the module, and
// modules of their own.
func outside(dir, base string) bool {
	if base == "testdata" || base == "node_modules" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return true
	}
	_, err := os.Stat(path.Join(root, dir, "go.mod"))
	return err == nil
}

func importsOf(t *testing.T, file string) []string {
	t.Helper()
	specs := parse(t, file, parser.ImportsOnly).Imports
	paths := make([]string, len(specs))
	for i, spec := range specs {
		var err error
		if paths[i], err = strconv.Unquote(spec.Path.Value); err != nil {
			t.Fatal(err)
		}
	}
	return paths
}

// standard reports packages of the standard library: their first element has
// no dot.
func standard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

// depguardRule is one rule of depguard in .golangci.yml.
type depguardRule struct {
	Files []string
	Deny  []struct{ Pkg, Desc string }
}

// depguard returns r as the linter is to have it: denied in every file but
// those of the exempt places.
func (r rule) depguard() depguardRule {
	d := depguardRule{Deny: []struct{ Pkg, Desc string }{{r.imports, r.why}}}
	for _, place := range r.by {
		if path.Ext(place) != ".go" {
			place += "/**"
		}
		d.Files = append(d.Files, "!${base-path}/"+place)
	}
	if r.byTests {
		d.Files = append(d.Files, "!$test")
	}
	return d
}

func TestRules_linterHasTheSame(t *testing.T) {
	text, err := os.ReadFile(path.Join(root, ".golangci.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Linters struct {
			Settings struct {
				Depguard struct{ Rules map[string]depguardRule }
			}
		}
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	linter := config.Linters.Settings.Depguard.Rules
	for _, r := range rules() {
		if got, want := linter[r.name], r.depguard(); !reflect.DeepEqual(got, want) {
			t.Errorf("rule %s of .golangci.yml:\n got %v\nwant %v", r.name, got, want)
		}
		delete(linter, r.name)
	}
	for name := range linter {
		t.Errorf("rule %s of .golangci.yml is not in the table", name)
	}
}
