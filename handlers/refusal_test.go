package handlers_test

import (
	"bufio"
	"fmt"
	"net/http"
	"testing"
	"time"
)

// A request that is refused while it still streams its body gets its answer at once. The answer
// does not wait for a body that nobody will read.
func TestProblem_beforeTheBody(t *testing.T) {
	srv := start(t)
	paths := map[string]int{
		"/v1/publish/c/t/stream": http.StatusUnauthorized,
		"/v1/publish":            http.StatusUnauthorized,
		"/v1/nowhere":            http.StatusNotFound,
	}
	for path, status := range paths {
		t.Run(path, func(t *testing.T) {
			conn := must(srv.dial(t.Context()))
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: sluice\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", path)
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			if answer.StatusCode != status {
				t.Errorf("status %d, want %d", answer.StatusCode, status)
			}
		})
	}
}
