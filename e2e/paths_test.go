package e2e_test

import (
	"bufio"
	"net/http"
	"runtime"
	"testing"
)

// paths are the flags of the ways on which streams get to plain connections, by
// name. Where the system has no writer loops, both are the same.
func paths() map[string][]string {
	return map[string][]string{"writer loops": nil, "portable": {"--portable"}}
}

// TestPortable shows that the flags do choose the way: a connection that a writer
// loop has taken over carries nothing else, and says so.
func TestPortable(t *testing.T) {
	for name, flags := range paths() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, flags...)
			conn := dial(t, s.address())
			s.subscribeOn(t, conn, "channel=a", "")
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil) //nolint:bodyclose // it is the connection
			if err != nil {
				t.Fatal(err)
			}
			if want := flags == nil && runtime.GOOS == "linux"; resp.Close != want {
				t.Errorf("Connection: close is %t, want %t", resp.Close, want)
			}
		})
	}
}
