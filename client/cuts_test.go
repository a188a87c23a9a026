package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/client"
	"github.com/sluicehq/sluice/schemas"
)

// fraying starts a TCP proxy before a server, whose connections break after a random number
// of bytes to the server, at most most, and some after a few bytes of an answer. It counts
// those that broke.
func fraying(t *testing.T, s *server, most int) (url string, broke *atomic.Int64) {
	t.Helper()
	listener := must(new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0"))
	broke = new(atomic.Int64)
	var all sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	all.Go(func() { // ends with the listener
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			up, down := rand.IntN(most), 1<<20
			if rand.IntN(10) == 0 {
				down = rand.IntN(400)
			}
			all.Go(func() { // ends with the connection, or ctx
				if fray(ctx, conn.(*net.TCPConn), s.url[len("http://"):], up, down) {
					broke.Add(1)
				}
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		listener.Close()
		all.Wait()
	})
	return "http://" + listener.Addr().String(), broke
}

// fray passes on a connection until one direction has had its number of bytes, and reports
// whether that was the end of it.
func fray(ctx context.Context, from *net.TCPConn, address string, up, down int) bool {
	defer from.Close()
	dialled, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	to := dialled.(*net.TCPConn)
	defer to.Close()
	stop := context.AfterFunc(ctx, func() { from.Close(); to.Close() })
	defer stop()
	var broke atomic.Bool
	var both sync.WaitGroup
	pass := func(dst, src *net.TCPConn, most int) {
		if _, err := io.CopyN(dst, src, int64(most)); err == nil {
			broke.Store(true)
			dst.SetLinger(rand.IntN(2) - 1) // some are reset
		}
		from.Close()
		to.Close()
	}
	both.Go(func() { pass(to, from, up) })
	both.Go(func() { pass(from, to, down) })
	both.Wait()
	return broke.Load()
}

// readText is a text as a reader got it.
type readText struct {
	begun int    // how often
	text  []byte // since it has begun last
	ends  []string
}

// readTexts reads the texts of a channel until n are complete. A piece that comes twice or is
// missing fails the test.
func readTexts(t *testing.T, c *client.Client, channel string, n int) map[string]*readText {
	t.Helper()
	texts := map[string]*readText{}
	for m, err := range c.Subscribe(t.Context(), client.Subscription{Channels: []string{channel}, Replay: "all"}) {
		if err != nil {
			t.Fatal(err)
		}
		text := texts[m.StreamID]
		if text == nil {
			text = new(readText)
			texts[m.StreamID] = text
		}
		switch m.Kind {
		case schemas.KindStreamStart:
			text.begun++
			text.text = nil
		case schemas.KindChunk:
			var piece string
			if err := json.Unmarshal(m.Data, &piece); err != nil || m.Offset != int64(len(text.text)) {
				t.Fatalf("text %s: a piece at %d after %d bytes, %v", m.StreamID, m.Offset, len(text.text), err)
			}
			text.text = append(text.text, piece...)
		case schemas.KindStreamEnd:
			var end struct{ Reason string }
			must(0, json.Unmarshal(m.Data, &end))
			text.ends = append(text.ends, end.Reason)
			if end.Reason == "complete" {
				n--
			}
		}
		if n == 0 {
			break
		}
	}
	return texts
}

// randomText returns a text of about n bytes, a few of which are not UTF-8.
func randomText(n int) string {
	var b strings.Builder
	for b.Len() < n {
		switch rand.IntN(200) {
		case 0:
			b.WriteByte(byte(0x80 + rand.IntN(0x80)))
		case 1, 2, 3:
			b.WriteString("é🙂\n\"€")
		default:
			b.WriteByte(byte('a' + rand.IntN(26)))
		}
	}
	return b.String()
}

// inPieces reads a text in pieces of random sizes.
func inPieces(text string, most int) io.Reader {
	rest := strings.NewReader(text)
	return readerFunc(func(p []byte) (int, error) { return rest.Read(p[:min(len(p), 1+rand.IntN(most))]) })
}

// However often connections break, readers get each text as it is: nothing twice, nothing
// missing, in one attempt.
func TestClient_PublishStream_survivesCuts(t *testing.T) {
	s := startServer(func(o *broker.Options) {
		o.Replay.Bytes, o.Replay.TextBytes = 64<<20, 16<<20 // readers may be behind
	})
	defer s.stop()
	reader := clientOf(t, s.url)
	sizes := []int{0, 1, 100, 5_000, 50_000, 200_000, 500_000, client.MaxTextBytes * 3 / 2}
	var all sync.WaitGroup
	for i, size := range sizes {
		url, broke := fraying(t, s, 2000+size/3)
		c := clientOf(t, url, client.WithRetries(1000))
		source := randomText(size)
		channel := "c:" + string(rune('a'+i))
		all.Go(func() {
			receipt, err := c.PublishStream(t.Context(), channel, "t", inPieces(source, 1+size/20))
			if err != nil {
				t.Errorf("%d bytes: %v", size, err)
				return
			}
			want := string([]rune(source))
			got := readTexts(t, reader, channel, 1)[receipt.StreamID]
			if string(got.text) != want || got.begun != 1 || len(got.ends) != 1 {
				t.Errorf("%d bytes: the reader got %d, begun %d times, ended %q", len(want), len(got.text), got.begun, got.ends)
			}
			if receipt.Bytes != int64(len(want)) {
				t.Errorf("%d bytes: receipt %+v", len(want), receipt)
			}
			t.Logf("%d bytes: %d connections broke", len(want), broke.Load())
		})
	}
	all.Wait()
}

// A later attempt takes the text over. The earlier one learns of it, and writes nothing more.
func TestClient_PublishStream_superseded(t *testing.T) {
	c, _ := realServer(t)
	silent, wake := io.Pipe()
	defer wake.Close()
	first := make(chan error, 1)
	go func() {
		_, err := c.PublishStream(t.Context(), "c", "t", io.MultiReader(strings.NewReader("first"), silent), client.StreamID("s"))
		first <- err
	}()
	await(t, c, "c", "first")
	receipt, err := c.PublishStream(t.Context(), "c", "t", strings.NewReader("second"), client.StreamID("s"), client.Attempt(2))
	if err != nil || receipt.Duplicate || receipt.Bytes != 6 {
		t.Fatalf("second attempt: %+v, %v", receipt, err)
	}
	io.WriteString(wake, " too late")
	problem := (*client.Problem)(nil)
	if err := <-first; !errors.Is(err, client.ErrSuperseded) || !errors.As(err, &problem) || problem.Status != 409 {
		t.Errorf("first attempt: %v", err)
	}
	again, err := c.PublishStream(t.Context(), "c", "t", strings.NewReader("ignored"), client.StreamID("s"), client.Attempt(2))
	if err != nil || !again.Duplicate || again.FirstID != receipt.FirstID || again.LastID != receipt.LastID {
		t.Errorf("second attempt again: %+v, %v, want that of %+v", again, err, receipt)
	}
	_, err = c.PublishStream(t.Context(), "c", "t", strings.NewReader("late"), client.StreamID("s"))
	if !errors.Is(err, client.ErrSuperseded) {
		t.Errorf("first attempt again: %v", err)
	}
	got := readTexts(t, c, "c", 1)["s"]
	if got.begun != 2 || string(got.text) != "second" || strings.Join(got.ends, " ") != "superseded complete" {
		t.Errorf("readers got %+v", got)
	}
}

// await reads a channel until the data of a message ends with the given words.
func await(t *testing.T, c *client.Client, channel, words string) {
	t.Helper()
	for m, err := range c.Subscribe(t.Context(), client.Subscription{Channels: []string{channel}, Replay: "all"}) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(strings.TrimRight(string(m.Data), "\"}"), words) {
			return
		}
	}
}

// crashing returns a client of a program that can crash: then it sends nothing any more.
func crashing(t *testing.T, url string) (c *client.Client, crash func()) {
	t.Helper()
	alive, crash := context.WithCancel(context.Background())
	own := new(http.Transport)
	t.Cleanup(func() { crash(); own.CloseIdleConnections() })
	return clientOf(t, url, client.WithRetries(1), client.WithHTTPClient(&http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		if alive.Err() != nil {
			return nil, alive.Err()
		}
		ctx, cut := context.WithCancel(r.Context())
		context.AfterFunc(alive, cut)
		return own.RoundTrip(r.WithContext(ctx))
	})})), crash
}

// Another text under the same id and attempt is refused, and nothing of it is published.
func TestClient_PublishStream_conflict(t *testing.T) {
	c, s := realServer(t)
	program, crash := crashing(t, s.url)
	silent, wake := io.Pipe()
	defer wake.Close()
	first := make(chan error, 1)
	go func() {
		_, err := program.PublishStream(t.Context(), "c", "t", io.MultiReader(strings.NewReader("first"), silent), client.StreamID("s"))
		first <- err
	}()
	await(t, c, "c", "first")
	crash()
	if err := <-first; err == nil {
		t.Error("no error")
	}
	for _, other := range []string{"other", "other" + strings.Repeat(" and long", client.MaxTextBytes/8)} {
		_, err := c.PublishStream(t.Context(), "c", "t", strings.NewReader(other), client.StreamID("s"))
		if !errors.Is(err, client.ErrConflict) {
			t.Errorf("another text: %v", err)
		}
	}
	must(c.PublishStream(t.Context(), "c", "t", strings.NewReader("first and last"), client.StreamID("s")))
	if got := readTexts(t, c, "c", 1)["s"]; got.begun != 1 || string(got.text) != "first and last" {
		t.Errorf("readers got %+v", got)
	}
}

// A text that cannot go on ends at once.
func TestClient_PublishStream_givesUp(t *testing.T) {
	s := startServer(func(o *broker.Options) { o.TextGrace = time.Hour })
	defer s.stop()
	c := clientOf(t, s.url)
	for channel, stop := range map[string]func(*io.PipeWriter, func()){
		"failed":    func(text *io.PipeWriter, _ func()) { text.CloseWithError(io.ErrUnexpectedEOF) },
		"cancelled": func(_ *io.PipeWriter, cancel func()) { cancel() },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		text, feed := io.Pipe()
		done := make(chan error, 1)
		go func() {
			_, err := c.PublishStream(ctx, channel, "t", text)
			done <- err
		}()
		io.WriteString(feed, "Hello")
		await(t, c, channel, "Hello")
		stop(feed, cancel)
		if err := <-done; !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", channel, err)
		}
		await(t, c, channel, "aborted")
		feed.Close()
		cancel()
	}
}

// A text that the server has given up begins again, all of it.
func TestClient_PublishStream_givenUp(t *testing.T) {
	s := startServer(func(o *broker.Options) { o.TextGrace = time.Millisecond })
	defer s.stop()
	direct := clientOf(t, s.url)
	aborted := make(chan struct{})
	// Its first connection breaks, and the next ones wait until the text is aborted.
	first := true
	own := new(http.Transport)
	defer own.CloseIdleConnections()
	c := clientOf(t, s.url, client.WithHTTPClient(&http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		if !first {
			<-aborted
			return own.RoundTrip(r)
		}
		first = false
		ctx, cut := context.WithCancel(r.Context())
		defer cut()
		go func() { await(t, direct, "c", "Hello"); cut() }() // ends with the piece
		return own.RoundTrip(r.WithContext(ctx))
	})}))
	silent, wake := io.Pipe()
	done := make(chan client.StreamReceipt, 1)
	go func() {
		receipt, err := c.PublishStream(t.Context(), "c", "t", io.MultiReader(strings.NewReader("Hello"), silent))
		if err != nil {
			t.Error(err)
		}
		done <- receipt
	}()
	await(t, direct, "c", "aborted")
	close(aborted)
	io.WriteString(wake, ", world")
	wake.Close()
	receipt := <-done
	got := readTexts(t, direct, "c", 1)[receipt.StreamID]
	if got.begun != 2 || string(got.text) != "Hello, world" || strings.Join(got.ends, " ") != "aborted complete" {
		t.Errorf("readers got %+v", got)
	}
}

// A server that has lost everything gets the whole text again.
func TestClient_PublishStream_serverRestarts(t *testing.T) {
	s := startServer()
	address := s.url[len("http://"):]
	c := clientOf(t, s.url)
	silent, wake := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := c.PublishStream(t.Context(), "c", "t", io.MultiReader(strings.NewReader("Hello"), silent))
		done <- err
	}()
	await(t, c, "c", "Hello")
	s.stop()
	s = listen(address)
	defer s.stop()
	await(t, c, "c", "Hello")
	io.WriteString(wake, ", world")
	wake.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for id, got := range readTexts(t, c, "c", 1) {
		if got.begun != 1 || string(got.text) != "Hello, world" {
			t.Errorf("readers got %s %+v", id, got)
		}
	}
}
