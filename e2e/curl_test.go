package e2e_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
)

// upload starts curl with a body that the test writes as it goes.
func upload(t testing.TB, key, url string, args ...string) (*process, *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	args = append([]string{"-sSN", url, "-H", "Authorization: Bearer " + key}, args...)
	curl := launch(t, r, nil, "curl", args...)
	r.Close()
	return curl, w
}

func ndjson(args ...string) []string {
	return append(args, "-X", "POST", "-H", "Content-Type: application/x-ndjson")
}

// TestCurl_publishLines shows that each line is answered before the next one is
// sent. -T . is -T - that reads its answer meanwhile.
func TestCurl_publishLines(t *testing.T) {
	t.Parallel()
	s := start(t)
	curl, in := upload(t, s.key, s.url+"/v1/publish", ndjson("-T", ".")...)
	from := 0
	for n := range 3 {
		io.WriteString(in, item("a", "t", fmt.Sprint(n)))
		if _, err := curl.stdout.wait(within(t, patience), from, `^\{"id":"\w+-\d+",.*"channel":"a".*\}\n$`); err != nil {
			t.Fatal(err)
		}
		from = curl.stdout.len()
	}
	io.WriteString(in, item("a", "no topic", "3"))
	if _, err := curl.stdout.wait(within(t, patience), from, `"status":400,`); err != nil {
		t.Fatal(err)
	}
	in.Close()
	curl.succeeds(t)
}

// TestCurl_publishLinesThroughNginx shows what nginx leaves of it: it keeps a
// body back until it is whole, and the answers come then.
func TestCurl_publishLinesThroughNginx(t *testing.T) {
	t.Parallel()
	s := start(t)
	wire := newCutter(t, "unix", startNginx(t, s, withKeepAlive))
	curl, in := upload(t, s.key, wire.url+"/v1/publish", ndjson("-T", "-")...)
	for n := range 50 {
		io.WriteString(in, item("a", "t", fmt.Sprint(n)))
	}
	in.Close()
	var ids []string
	for line := range strings.Lines(curl.succeeds(t)) {
		var p published
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		ids = append(ids, p.ID)
	}
	var got struct{ Messages []struct{ ID string } }
	s.call(t, http.MethodGet, "/v1/channels/a/messages", "", &got)
	if len(ids) != 50 || len(got.Messages) != 50 {
		t.Fatalf("%d receipts and %d messages, want 50", len(ids), len(got.Messages))
	}
	for i, m := range got.Messages {
		if m.ID != ids[i] {
			t.Errorf("message %d is %s, its receipt says %s", i, m.ID, ids[i])
		}
	}
}

// TestCurl_publishBody shows that a piece of text reaches readers before the
// next one is written, and that no character is torn apart.
func TestCurl_publishBody(t *testing.T) {
	t.Parallel()
	s := start(t)
	in, _ := s.subscribe(t, "channel=build:7", "")
	curl, out := upload(t, s.key, s.url+"/v1/publish/build:7/log/stream", "-T", "-")
	in.expectData(t, "datastream-start", "{}")
	for _, piece := range []struct{ written, read string }{
		{"building\n", `"building\n"`},
		{"caf\xc3", `"caf"`},
		{"\xa9 <b>", `"é <b>"`},
	} {
		io.WriteString(out, piece.written)
		in.expectData(t, "chunk", piece.read)
	}
	out.Close()
	in.expectData(t, "datastream-end", `{"reason":"complete"}`)
	expectReceipt(t, curl, 3, 18)
}

func TestCurl_publishBodyThroughNginx(t *testing.T) {
	t.Parallel()
	s := start(t)
	wire := newCutter(t, "unix", startNginx(t, s, withKeepAlive))
	in, _ := s.subscribe(t, "channel=build:7", "")
	curl, out := upload(t, s.key, wire.url+"/v1/publish/build:7/log/stream", "-T", "-")
	io.WriteString(out, "building\ndone\n")
	out.Close()
	in.expectData(t, "datastream-start", "{}")
	in.expectData(t, "chunk", `"building\ndone\n"`)
	in.expectData(t, "datastream-end", `{"reason":"complete"}`)
	expectReceipt(t, curl, 1, 14)
}

// expectData reads the next event, a message of the given kind and data.
func (s *stream) expectData(t testing.TB, kind, data string) {
	t.Helper()
	var m struct {
		Kind     string          `json:"kind"`
		StreamID string          `json:"stream_id"`
		Data     json.RawMessage `json:"data"`
	}
	e := s.expect(t, "log")
	if err := json.Unmarshal([]byte(e.Data), &m); err != nil {
		t.Fatal(err)
	}
	if m.Kind != kind || string(m.Data) != data || m.StreamID == "" {
		t.Fatalf("wanted a %s of %s, got %s", kind, data, e.Data)
	}
}

func expectReceipt(t testing.TB, curl *process, chunks, bytes int) {
	t.Helper()
	var receipt struct{ Chunks, Bytes int }
	if err := json.Unmarshal([]byte(curl.succeeds(t)), &receipt); err != nil {
		t.Fatal(err)
	}
	if receipt.Chunks != chunks || receipt.Bytes != bytes {
		t.Errorf("%+v, want %d chunks of %d bytes", receipt, chunks, bytes)
	}
}

// TestPublishLines_expectContinue shows that a client that asks may send at
// once. Otherwise curl, which asks whenever it does not know a body's length,
// waits for a second before the first line.
func TestPublishLines_expectContinue(t *testing.T) {
	t.Parallel()
	s := start(t)
	conn := dial(t, s.address())
	fmt.Fprintf(conn, "POST /v1/publish HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n", s.address(), s.key)
	status, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.HasPrefix(status, "HTTP/1.1 100 ") {
		t.Errorf("the first answer is %q, %v; want 100 Continue", status, err)
	}
}
