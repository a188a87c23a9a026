package handlers_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/schemas"
)

// outcome is one line of an answer: a receipt or a problem.
type outcome struct {
	receipt schemas.Receipt
	problem schemas.Problem
}

// duplex is a request whose body is written while its answer is read.
type duplex struct {
	t    testing.TB
	body *io.PipeWriter
	resp *http.Response
	in   *bufio.Reader
}

// openLines starts a request that publishes lines.
func (s *server) openLines(t testing.TB, c call) *duplex {
	t.Helper()
	r, w := io.Pipe()
	c.method, c.path = "POST", "/v1/publish"
	req := s.request(t, c, r)
	req.Header.Set("Content-Type", "application/x-ndjson")
	resp, err := s.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close(); resp.Body.Close() })
	a := &answer{method: c.method, path: c.path, status: resp.StatusCode, header: resp.Header}
	if a.status != 200 {
		t.Fatalf("status %d: %s", a.status, drained(t, resp.Body))
	}
	checkHeaders(t, a, map[string]string{"Content-Type": "application/x-ndjson", "X-Accel-Buffering": "no"})
	s.saw(a)
	return &duplex{t: t, body: w, resp: resp, in: bufio.NewReader(resp.Body)}
}

func (d *duplex) write(text string) {
	d.t.Helper()
	if _, err := io.WriteString(d.body, text); err != nil {
		d.t.Fatal(err)
	}
}

// next reads the next line of the answer.
func (d *duplex) next() outcome {
	d.t.Helper()
	line, err := d.in.ReadString('\n')
	if err != nil {
		d.t.Fatalf("%v: %q", err, line)
	}
	var o outcome
	if err := json.Unmarshal([]byte(line), &o.receipt); err != nil {
		d.t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(line), &o.problem); err != nil {
		d.t.Fatal(err)
	}
	return o
}

// ends closes the body and reads to the end of the answer.
func (d *duplex) ends() {
	d.t.Helper()
	d.body.Close()
	if rest, err := io.ReadAll(d.in); err != nil || len(rest) > 0 {
		d.t.Errorf("%q, %v after the last line", rest, err)
	}
}

// line returns a line with a message to channel c.
func line(data any) string {
	return fmt.Sprintf(`{"channel":"c","topic":"t","data":%s}`, must(json.Marshal(data)))
}

func (s *suite) publishLines(t *testing.T) {
	for name, change := range map[string]func(*setup){"HTTP1": func(*setup) {}, "HTTP2": func(o *setup) { o.h2 = true }} {
		t.Run(name, func(t *testing.T) {
			s.linesInTurn(t, s.start(t, change))
			s.linesAfterFaults(t, s.start(t, change))
		})
	}
	s.linesEnd(t)
	s.linesContinue(t)
	for _, media := range []string{"application/ndjson", "application/jsonl", "application/x-ndjson; charset=utf-8"} {
		srv := s.start(t)
		c := call{method: "POST", path: "/v1/publish", as: apiKey, body: line(1), header: map[string]string{"Content-Type": media}, status: 200, says: `"durable":false`}
		srv.check(t, c)
		c.body, c.says = "", ""
		if a := srv.check(t, c); a.body != "" {
			t.Errorf("an empty body was answered with %q", a.body)
		}
	}
}

// linesInTurn reads the receipt of each line before it writes the next.
func (s *suite) linesInTurn(t *testing.T, srv *server) {
	d := srv.openLines(t, call{as: srv.token("c", "t")})
	stream := srv.open(t, call{as: apiKey, path: "channel=c"})
	stream.after("$open")
	var last uint64
	for i := range 50 {
		text := line(i)
		d.write(text[:7])
		d.write(text[7:] + "\r\n\n")
		o := d.next()
		if o.receipt.Kind != schemas.KindData || o.receipt.ID.Seq <= last {
			t.Fatalf("answer %+v", o)
		}
		last = o.receipt.ID.Seq
		stream.gets(fmt.Sprint(i))
	}
	d.ends()
	stream.close()
}

// linesAfterFaults tests that lines that fail do not affect the others.
func (s *suite) linesAfterFaults(t *testing.T, srv *server) {
	d := srv.openLines(t, call{as: srv.token("c", "t")})
	long := strings.Repeat(" ", 2*maxEvent)
	for _, tt := range []struct {
		text   string
		status int
	}{
		{line(1), 0},
		{line(strings.Repeat("x", 2*maxEvent)), 413},
		{line(2), 0},
		{long + line(3), 413},
		{long[len(line(4)):] + line(4), 0}, // exactly the limit
		{long[len(line(5))-1:] + line(5), 413},
		{line(strings.Repeat("x", maxEvent)), 413},
		{`{"channel":`, 400},
		{`1`, 400},
		{`{"channel":"c","topic":"t","data":"` + "\xff" + `"}`, 400},
		{`{"channel":"d","topic":"t","data":"` + secretPayload + `"}`, 403},
		{`{"channel":"c","topic":"t","` + secretPayload + `":1}`, 400},
		{line(6), 0},
	} {
		d.write(tt.text + "\n")
		o := d.next()
		if o.problem.Status != tt.status || (tt.status == 0) != (o.receipt.Kind == schemas.KindData) {
			t.Errorf("line of %d bytes: answer %+v, want status %d", len(tt.text), o, tt.status)
		}
		if tt.status != 0 && o.problem.Instance != d.resp.Header.Get("X-Request-Id") {
			t.Errorf("instance %q", o.problem.Instance)
		}
	}
	d.write(line(7)) // the last line needs no end
	d.body.Close()
	if o := d.next(); o.receipt.Kind != schemas.KindData {
		t.Errorf("last line: %+v", o)
	}
	d.ends()
	var got []string
	for _, m := range srv.messages("c") {
		got = append(got, string(m.Data))
	}
	if want := "1 2 4 6 7"; strings.Join(got, " ") != want {
		t.Errorf("published %q, want %s", got, want)
	}
}

// linesEnd tests connections that break in the middle of a line.
func (s *suite) linesEnd(t *testing.T) {
	srv := s.start(t)
	head := "POST /v1/publish HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + apiKey + "\r\nContent-Type: application/x-ndjson\r\nX-Request-Id: "
	whole, half := line(1)+"\n", line(2)
	for name, body := range map[string]string{
		"chunked":        fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n%x\r\n%s\r\n", len(whole), whole, len(half), half),
		"content length": fmt.Sprintf("Content-Length: %d\r\n\r\n%s%s", len(whole)+len(half)+1, whole, half),
	} {
		t.Run("broken off "+name, func(t *testing.T) {
			before := len(srv.messages("c"))
			conn := srv.connect(t)
			id := "broken-off-" + name[:3]
			if _, err := io.WriteString(conn, head+id+"\r\n"+body); err != nil {
				t.Fatal(err)
			}
			in := bufio.NewReader(conn)
			for answered := ""; !strings.Contains(answered, `"durable":false`); {
				answered += must(in.ReadString('\n'))
			}
			conn.Close()
			srv.finished(t, id)
			if got := srv.messages("c"); len(got) != before+1 || string(got[before].Data) != "1" {
				t.Errorf("published %+v", got[before:])
			}
		})
	}
}

// connect opens a plain connection.
func (s *server) connect(t testing.TB) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := s.dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// finished waits until the request with the id is logged.
func (s *server) finished(t testing.TB, id string) {
	for len(s.log.lines(`"request_id":"`+id+`"`)) == 0 {
		s.send(t, call{method: "GET", path: "/healthz"}) // gives it time
	}
}

// countedStreams returns the metrics once n streams are counted as finished, and as requests.
// That is soon after their clients have seen the end.
func (s *server) countedStreams(t testing.TB, n int) *answer {
	t.Helper()
	finished := regexp.MustCompile(`\nsluice_streams_finished_total\{[^}]*\} ([1-9]\d*)`)
	request := fmt.Sprintf("\nsluice_http_requests_total{method=\"GET\",route=\"/v1/subscribe\",status=\"200\"} %d\n", n)
	for {
		a := s.check(t, call{method: "GET", path: "/metrics", status: 200})
		counted := 0
		for _, found := range finished.FindAllStringSubmatch(a.body, -1) {
			counted += must(strconv.Atoi(found[1]))
		}
		if counted >= n && strings.Contains(a.body, request) {
			return s.check(t, call{method: "GET", path: "/metrics", status: 200}) // in the page before, what is collected first may be older
		}
	}
}

// linesContinue publishes with a client that waits for 100 Continue before it sends.
func (s *suite) linesContinue(t *testing.T) {
	srv := s.start(t)
	conn := srv.connect(t)
	in := bufio.NewReader(conn)
	_, err := io.WriteString(conn, "POST /v1/publish HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "+apiKey+
		"\r\nContent-Type: application/x-ndjson\r\nContent-Length: "+fmt.Sprint(len(line(1)))+"\r\nExpect: 100-continue\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	if status := must(in.ReadString('\n')); status != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("status line %q", status)
	}
	for must(in.ReadString('\n')) != "\r\n" { // its header
	}
	if _, err := io.WriteString(conn, line(1)); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body := string(must(io.ReadAll(resp.Body))); resp.StatusCode != 200 || !strings.Contains(body, `"durable":false`) {
		t.Errorf("%d: %s", resp.StatusCode, body)
	}
}
