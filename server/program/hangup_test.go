package program

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// A command whose reader is gone ends at once, not when it has something to print, which
// may be never.
func TestSubscribe_readerGoneWhileSilent(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "id: e-1\nevent: $open\ndata: {\"id\":\"e-1\",\"channels\":[\"c\"]}\n\nid: e-2\nevent: status\ndata: "+subscribeMessage+"\n\n")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer server.Close()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sluice", "subscribe", "c", "--url", server.URL)
	cmd.Env = append(os.Environ(), "GORACE="+noRaceSleep)
	cmd.Stdout = writer
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	if _, err := io.ReadFull(reader, make([]byte, len(subscribeMessage)+1)); err != nil {
		t.Fatal(err)
	}
	reader.Close()
	cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGPIPE {
		t.Errorf("it ended with %v", cmd.ProcessState)
	}
}
