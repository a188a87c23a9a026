// Package testreport turns the event stream of "go test -json" into something
// a person reads: one line for each package that passed, everything that a
// package printed when it did not, and the numbers at the end.
//
// It does not run tests and does not keep what passing tests print.
package testreport

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Counts are the numbers of tests by outcome. A test with subtests counts only
// through them, unless it failed by itself; a package that failed without a
// failed test (it did not build, or its process died) counts as one failed.
type Counts struct {
	Passed, Failed, Skipped int
}

// String returns the closing line: "3 passed, 0 failed", and the skipped when
// there are any.
func (c Counts) String() string {
	s := fmt.Sprintf("%d passed, %d failed", c.Passed, c.Failed)
	if c.Skipped > 0 {
		s += fmt.Sprintf(", %d skipped", c.Skipped)
	}
	return s
}

// event is one line of go test -json; see "go doc test2json". Build output has
// an ImportPath in place of a Package.
type event struct {
	Action     string
	Package    string
	ImportPath string
	Test       string
	Output     string
	Elapsed    float64
}

// Write reads events from r until it ends and writes the report to w, each
// package when it is done, without the closing line. Lines that are no events
// are passed on as they are. The error is that of reading or writing.
func Write(w io.Writer, r io.Reader) (Counts, error) {
	rep := report{out: bufio.NewWriter(w), packages: map[string]*pkg{}}
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			rep.line(line)
		}
		if err == io.EOF {
			return rep.total, rep.out.Flush()
		}
		if err != nil {
			return rep.total, err
		}
	}
}

// report is the state of one Write.
type report struct {
	out      *bufio.Writer
	packages map[string]*pkg
	total    Counts
}

func (r *report) line(line []byte) {
	var e event
	if json.Unmarshal(line, &e) != nil {
		r.out.Write(line)
		return
	}
	switch {
	case e.Action == "build-output":
		r.out.WriteString(e.Output)
	case e.Package == "":
		// build-fail: the package's own fail event follows.
	case e.Test != "":
		r.pkg(e.Package).test(e)
	default:
		r.packageEvent(e)
	}
}

func (r *report) pkg(path string) *pkg {
	p := r.packages[path]
	if p == nil {
		p = &pkg{tests: map[string]*test{}}
		r.packages[path] = p
	}
	return p
}

func (r *report) packageEvent(e event) {
	p := r.pkg(e.Package)
	switch e.Action {
	case "output":
		p.output.WriteString(e.Output)
		return
	case "pass":
		fmt.Fprintf(r.out, "ok    %s  %.1fs\n", e.Package, e.Elapsed)
	case "skip":
		fmt.Fprintf(r.out, "-     %s  no tests\n", e.Package)
	case "fail":
		fmt.Fprintf(r.out, "FAIL  %s  %.1fs\n", e.Package, e.Elapsed)
		p.failed(r.out)
	default: // start, pause, cont
		return
	}
	p.skipped(r.out)
	p.count(&r.total, e.Action == "fail")
	delete(r.packages, e.Package)
	_ = r.out.Flush() // its error stays with the writer, and the last Flush returns it
}

// pkg is one package while its tests run.
type pkg struct {
	output strings.Builder // what belongs to no test
	tests  map[string]*test
	order  []*test
}

// test is one test of a package.
type test struct {
	name        string
	action      string // pass, fail, skip; "" while it runs, and for ever when the process died
	output      strings.Builder
	hasSubtests bool
}

func (p *pkg) test(e event) {
	t := p.tests[e.Test]
	if t == nil {
		t = &test{name: e.Test}
		p.tests[e.Test] = t
		p.order = append(p.order, t)
		if i := strings.LastIndexByte(e.Test, '/'); i > 0 && p.tests[e.Test[:i]] != nil {
			p.tests[e.Test[:i]].hasSubtests = true
		}
	}
	switch e.Action {
	case "output":
		if !strings.HasPrefix(e.Output, "=== ") { // RUN, PAUSE, CONT and NAME are for tools
			t.output.WriteString(e.Output)
		}
	case "pass":
		t.action = e.Action
		t.output.Reset()
	case "fail", "skip":
		t.action = e.Action
	}
}

// failed writes the output of every test that did not end well, then that of
// the package: a race or a leak found at the end, a panic, the shuffle's seed.
func (p *pkg) failed(w *bufio.Writer) {
	for _, t := range p.order {
		if t.action == "fail" || t.action == "" {
			w.WriteString(t.output.String())
		}
	}
	w.WriteString(p.output.String())
}

// skipped names each skipped test with its reason, so that none goes unseen.
func (p *pkg) skipped(w *bufio.Writer) {
	for _, t := range p.order {
		if t.action == "skip" {
			fmt.Fprintf(w, "skip  %s\n%s", t.name, t.output.String())
		}
	}
}

func (p *pkg) count(c *Counts, packageFailed bool) {
	before := c.Failed
	for _, t := range p.order {
		switch {
		case t.action == "pass" && !t.hasSubtests:
			c.Passed++
		case t.action == "skip":
			c.Skipped++
		case t.action == "fail" && !p.failedBelow(t):
			c.Failed++
		}
	}
	if packageFailed && c.Failed == before {
		c.Failed++
	}
}

// failedBelow reports whether a subtest of t failed, which fails t as well.
func (p *pkg) failedBelow(t *test) bool {
	if !t.hasSubtests {
		return false
	}
	for _, sub := range p.order {
		if sub.action == "fail" && strings.HasPrefix(sub.name, t.name+"/") {
			return true
		}
	}
	return false
}
