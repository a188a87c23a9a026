package load_test

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/bench/load"
)

// TestClient_SendLines shows that lines come whole and in order, that their answers are
// counted, and that one which is no receipt ends the run.
func TestClient_SendLines(t *testing.T) {
	const lines = 1000
	for _, tt := range []struct {
		name    string
		receipt func(i int) string
		fails   bool
	}{
		{"receipts", func(int) string { return `{"id":"1"}` }, false},
		{"refused", func(i int) string { return []string{`{"id":"1"}`, `{"type":"/problems/x"}`}[i/500] }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				full := http.NewResponseController(w)
				if err := full.EnableFullDuplex(); err != nil {
					t.Error(err)
				}
				in := bufio.NewScanner(r.Body)
				for i := 0; in.Scan(); i++ {
					if in.Text() != fmt.Sprint(i) {
						t.Errorf("line %d is %q", i, in.Text())
					}
					fmt.Fprintln(w, tt.receipt(i))
					if err := full.Flush(); err != nil {
						return
					}
				}
			}))
			defer server.Close()
			client, err := load.New(load.Config{Addr: netip.MustParseAddrPort(server.Listener.Addr().String()), Clock: load.NewClock()})
			must(t, err)
			defer client.Close()
			next := 0
			must(t, client.AddLines(load.Lines{
				Request: []byte("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"),
				Line:    func(b []byte) []byte { next++; return fmt.Appendln(b, next-1) },
				Receipt: `{"id":"`, Window: 64,
			}))
			must(t, client.SendLines(lines))
			whole, err := client.Drain(5 * time.Second)
			if tt.fails {
				if err == nil || !strings.Contains(err.Error(), "/problems/x") {
					t.Errorf("got %v", err)
				}
				return
			}
			if c := client.Counts(); err != nil || !whole || c.Answered != lines || c.Published != lines {
				t.Errorf("whole %t, %v, %+v", whole, err, c)
			}
		})
	}
}
