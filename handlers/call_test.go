package handlers_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	stdlog "log"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

func log(to io.Writer) *stdlog.Logger { return stdlog.New(to, "", 0) }

// patience limits how long a test waits for one thing.
const patience = 2 * time.Minute

// call is a request and the answer that it must get.
type call struct {
	name   string
	method string
	path   string // with query, as it goes over the wire
	as     string // the credential, "" for none
	header map[string]string
	body   string

	status  int
	problem string            // last part of its type, "" for no problem
	detail  string            // part of the problem's detail
	fields  []string          // the pointers of its errors
	sets    map[string]string // headers of the answer, "-" for not there
	says    string            // part of the body
}

// answer is a complete response.
type answer struct {
	method string
	path   string
	status int
	header http.Header
	body   string
}

// request returns the request of c. It is cancelled after patience, or when the test ends.
func (s *server) request(t testing.TB, c call, body io.Reader) *http.Request {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, c.method, s.url+c.path, body)
	if err != nil {
		t.Fatal(err)
	}
	if c.as != "" {
		req.Header.Set("Authorization", "Bearer "+c.as)
	}
	for name, value := range c.header {
		req.Header.Set(name, value)
		if name == "Host" {
			req.Host = value
		}
	}
	return req
}

// send sends c and reads the complete answer.
func (s *server) send(t testing.TB, c call) *answer {
	t.Helper()
	var body io.Reader
	if c.body != "" {
		body = strings.NewReader(c.body)
	}
	a, err := s.do(s.request(t, c, body))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// do sends the request and reads the complete answer.
func (s *server) do(req *http.Request) (*answer, error) {
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	a := &answer{method: req.Method, path: req.URL.RequestURI(), status: resp.StatusCode, header: resp.Header, body: string(text)}
	s.saw(a)
	return a, nil
}

// later sends c with a body that is still being written. The answer is nil if there is none.
func (s *server) later(t testing.TB, c call, body io.Reader) <-chan *answer {
	t.Helper()
	req := s.request(t, c, body)
	answered := make(chan *answer, 1)
	go func() { // ends with the request
		a, err := s.do(req)
		if err != nil && !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}
		answered <- a
	}()
	return answered
}

func (s *server) saw(a *answer) {
	if s.observe != nil {
		s.observe(a)
	}
}

// run runs the calls of a table, each as a subtest.
func (s *server) run(t *testing.T, calls []call) {
	t.Helper()
	for _, c := range calls {
		t.Run(c.name, func(t *testing.T) { s.check(t, c) })
	}
}

// check makes the call and checks its answer.
func (s *server) check(t testing.TB, c call) *answer {
	t.Helper()
	a := s.send(t, c)
	if a.status != c.status {
		t.Fatalf("%s %s: status %d, want %d: %s", c.method, c.path, a.status, c.status, a.body)
	}
	checkHeaders(t, a, c.sets)
	if c.status >= 400 && c.method != http.MethodHead {
		checkProblem(t, a, c)
	}
	if c.method != http.MethodHead && !strings.Contains(a.body, c.says) {
		t.Errorf("body %q does not have %q", a.body, c.says)
	}
	return a
}

// checkHeaders checks the headers that every answer has, and the wanted ones.
func checkHeaders(t testing.TB, a *answer, wanted map[string]string) {
	t.Helper()
	varies := wanted["Vary"] != "" || strings.Contains(strings.Join(a.header.Values("Vary"), ","), "Origin")
	if a.header.Get("X-Request-Id") == "" || a.header.Get("X-Content-Type-Options") != "nosniff" || !varies {
		t.Errorf("headers of every answer are missing: %v", a.header)
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		got, want := strings.Join(a.header.Values(name), ", "), wanted[name]
		if want == "-" {
			want = ""
		}
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func checkProblem(t testing.TB, a *answer, c call) {
	t.Helper()
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type %q", got)
	}
	if got := a.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q", got)
	}
	var p schemas.Problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	if p.Type != "/problems/"+c.problem || p.Status != a.status || p.Title == "" || p.Instance != a.header.Get("X-Request-Id") {
		t.Errorf("problem %+v, want %s", p, c.problem)
	}
	if !strings.Contains(p.Detail, c.detail) {
		t.Errorf("detail %q does not have %q", p.Detail, c.detail)
	}
	for _, ours := range []string{"handlers:", "broker:", "schemas:", "auth:", "json:", "127.0.0.1"} {
		if strings.Contains(p.Detail, ours) && !strings.Contains(c.detail, ours) { // unless the call has it
			t.Errorf("detail %q has %q in it", p.Detail, ours)
		}
	}
	var fields []string
	for _, e := range p.Errors {
		fields = append(fields, e.Pointer)
		if e.Detail == "" {
			t.Errorf("%s has no detail", e.Pointer)
		}
	}
	if c.fields != nil && !slices.Equal(fields, c.fields) {
		t.Errorf("errors of %q, want %q", fields, c.fields)
	}
	for header, statuses := range map[string][]int{"Retry-After": {429, 503}, "Www-Authenticate": {401}, "Allow": {405}} {
		if want, got := slices.Contains(statuses, a.status), a.header.Get(header) != ""; want && !got {
			t.Errorf("no %s", header)
		}
	}
}

// decoded decodes the JSON body of an answer.
func decoded[T any](t testing.TB, a *answer) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return v
}
