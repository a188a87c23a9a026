// Package doctor looks at a running server as its clients see it, through whatever stands in
// between, and says what is wrong and what to change. It publishes and reads on channels of
// its own, which it deletes, and changes nothing else.
package doctor

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// Patience is how long something may take on a stream that should come at once.
	Patience = 5 * time.Second
	// answerTimeout is how long an answer may take, or the head of one that is a stream.
	answerTimeout = 20 * time.Second
)

// Patient says what to look at.
type Patient struct {
	// URL is the address of the server, as clients use it: http or https, or unix: and the
	// path of a socket.
	URL string
	// APIKey may be empty, or one that may make no tokens. Then everything is left out that needs
	// a token.
	APIKey string
	// Origins are those of pages that are to read streams, such as https://app.example.com.
	Origins []string
	// Idle is how long to watch a stream on which nothing happens, since proxies cut such
	// connections. 0: not at all.
	Idle time.Duration
	// Patience is how long something may take on a stream that should come at once. 0:
	// [Patience].
	Patience time.Duration
	// Transport makes the requests. nil: one of its own, which uses no proxy of the
	// environment.
	Transport http.RoundTripper
}

// Level says what a finding means.
type Level string

// The levels, the worst first.
const (
	Fault   Level = "fault"   // it does not work, or not for everybody
	Warning Level = "warning" // it works, and will not always
	Skipped Level = "skipped" // it was not looked at
	Fine    Level = "ok"
)

// Finding is the result of one check.
type Finding struct {
	Level Level `json:"level"`
	// Check is the name of what was looked at: one word.
	Check string `json:"check"`
	// Found says what was found.
	Found string `json:"found"`
	// Advice says what to change. It is empty if nothing has to be.
	Advice string `json:"advice,omitempty"`
}

// Examine looks at everything that can be looked at, and tells of each finding at once. It
// returns [ErrBadURL], or the error of ctx if that ends.
func Examine(ctx context.Context, p Patient, tell func(Finding)) error {
	e, err := newExamination(p, tell)
	if err != nil {
		return err
	}
	defer e.client.CloseIdleConnections()
	if !e.reach(ctx) {
		return ctx.Err()
	}
	e.ready(ctx)
	e.clock()
	for _, origin := range p.Origins {
		e.cors(ctx, origin)
	}
	if !e.mint(ctx) {
		return ctx.Err()
	}
	e.webhooks(ctx)
	e.keys(ctx)
	e.publicURL()
	e.names(ctx)
	e.stream(ctx)
	return ctx.Err()
}

// ErrBadURL is the error for a URL that is not the address of a server.
var ErrBadURL = errors.New("want one such as https://sluice.example.com")

// examination is one run of the checks.
type examination struct {
	Patient
	base    *url.URL
	socket  bool // base is a Unix socket
	client  *http.Client
	tell    func(Finding)
	channel string // for this examination alone

	health healthAnswer // of reach
	token  tokenAnswer  // of mint
}

func newExamination(p Patient, tell func(Finding)) (*examination, error) {
	e := &examination{tell: tell, channel: "sluice-doctor:" + strings.ToLower(rand.Text())}
	p.Patience = cmp.Or(p.Patience, Patience)
	base, err := url.Parse(p.URL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%q is no URL: %w", p.URL, ErrBadURL)
	case base.Scheme == "unix":
		e.socket = true
		path := cmp.Or(base.Path, base.Opaque)
		p.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}}
		base = &url.URL{Scheme: "http", Host: "localhost"}
	case base.Scheme != "http" && base.Scheme != "https" || base.Host == "":
		return nil, fmt.Errorf("%q is not the address of a server: %w", p.URL, ErrBadURL)
	case p.Transport == nil:
		p.Transport = &http.Transport{ForceAttemptHTTP2: true, DisableCompression: true}
	}
	// A server that sends clients elsewhere is a finding.
	e.client = &http.Client{Transport: p.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	e.Patient, e.base = p, base
	return e, nil
}

func (e *examination) fine(check, found string, args ...any) {
	e.tell(Finding{Fine, check, fmt.Sprintf(found, args...), ""})
}

func (e *examination) skip(check, found string) { e.tell(Finding{Skipped, check, found, ""}) }

func (e *examination) warn(check, advice, found string, args ...any) {
	e.tell(Finding{Warning, check, fmt.Sprintf(found, args...), advice})
}

func (e *examination) fault(check, advice, found string, args ...any) {
	e.tell(Finding{Fault, check, fmt.Sprintf(found, args...), advice})
}

// request is one request to the server.
type request struct {
	method, path string
	query        url.Values
	header       http.Header
	body         io.Reader
	bearer       string // "": no credential
}

// do sends r. The answer's body is open; if there is an error, there is none.
func (e *examination) do(ctx context.Context, r request) (*http.Response, error) {
	// The path may be escaped in a way that url.URL would change.
	target := strings.TrimRight(e.base.String(), "/") + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, r.body)
	if err != nil {
		return nil, err
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	if r.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+r.bearer)
	}
	return e.client.Do(req)
}

// answer is a whole answer that came in time.
type answer struct {
	*http.Response
	body    []byte
	elapsed time.Duration
}

// ask sends r and reads the answer, within the time that is allowed.
func (e *examination) ask(ctx context.Context, r request) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	began := time.Now()
	resp, err := e.do(ctx, r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	const most = 1 << 20
	body, err := io.ReadAll(io.LimitReader(resp.Body, most))
	return answer{resp, body, time.Since(began)}, err
}

// askJSON sends question as JSON.
func (e *examination) askJSON(ctx context.Context, r request, question any) (answer, error) {
	body, err := json.Marshal(question)
	if err != nil {
		return answer{}, err
	}
	if r.header == nil {
		r.header = make(http.Header)
	}
	r.header.Set("Content-Type", "application/json")
	r.body = bytes.NewReader(body)
	return e.ask(ctx, r)
}

// problem says what an unsuccessful answer says.
func (a answer) problem() string {
	var p struct{ Title, Detail string }
	if json.Unmarshal(a.body, &p) != nil || p.Title == "" {
		return a.Status
	}
	if p.Detail == "" {
		return fmt.Sprintf("%d %s", a.StatusCode, p.Title)
	}
	return fmt.Sprintf("%d %s: %s", a.StatusCode, p.Title, p.Detail)
}

// via names what stands in between, if it says so.
func (a answer) via() string {
	if via := cmp.Or(a.Header.Get("Via"), a.Header.Get("Server")); via != "" {
		return ", through " + via
	}
	return ""
}
