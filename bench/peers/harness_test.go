package peers_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluicehq/sluice/bench/peers"
)

// patience is how long anything may take.
const patience = 2 * time.Minute

// probe is the publisher number of messages that only show that readers are there.
const probe = 0xffff

// start runs a peer until the test ends and returns its address.
func start(t *testing.T, p peers.Peer, o peers.Options) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o.Self = self
	if o.Node, err = filepath.Abs("../node"); err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(p.Name, "sluice") {
		o.SluiceBin = buildSluice(t, "test")
	}
	addr := freeAddress(t)
	cmd, err := p.Command(addr, t.TempDir(), o)
	if errors.Is(err, peers.ErrNotInstalled) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		force := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait() // that it was ended by a signal is no news
		if !force.Stop() {
			t.Errorf("%s did not end on SIGTERM", p.Name)
		}
		if t.Failed() && said.Len() > 0 {
			t.Logf("%s said:\n%s", p.Name, said.String())
		}
	})
	for deadline := time.Now().Add(patience); ; {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
			create(t, p, addr)
			return addr
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen: %v", p.Name, err)
		}
	}
}

// create makes the channels of the tests, for peers that need it.
func create(t *testing.T, p peers.Peer, addr string) {
	t.Helper()
	if p.Create == nil {
		return
	}
	for _, channel := range []string{"room", "hall"} {
		if err := newPublisher(t, p, addr).send(p.Create(channel)); err != nil {
			t.Fatal(err)
		}
	}
}

// buildSluice builds the server that this module stands beside, as a version.
func buildSluice(t *testing.T, version string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "sluice")
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags", "-X github.com/sluicehq/sluice/server/program.version="+version, "-o", bin, "./server")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build sluice: %v\n%s", err, out)
	}
	return bin
}

// freeAddress returns a loopback address that nobody listens on now. Its port is below those
// that systems give to outgoing connections, so none of these takes it first.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(22_000))
		if listener, err := net.Listen("tcp", addr); err == nil {
			_ = listener.Close()
			return addr
		}
	}
	t.Fatal("no port is free")
	return ""
}

// dial opens a connection that ends with the test.
func dial(t *testing.T, p peers.Peer, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(2 * patience)); err != nil {
		t.Fatal(err)
	}
	if !p.Secure {
		return conn
	}
	secured := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13})
	if err := secured.Handshake(); err != nil { // at once: a floor waits for it
		t.Fatal(err)
	}
	return secured
}

// message is what is published: 200 bytes, with a publisher and a number.
func message(publisher, number int) []byte { return sized(publisher, number, 200) }

// sized is a message of another size, in bytes.
func sized(publisher, number, size int) []byte {
	text := fmt.Sprintf(`{"b":"~%04x~%08x~%016x~`, publisher, number, 0)
	return []byte(text + strings.Repeat("x", size-len(text)-2) + `"}`)
}

// publisher publishes over one connection.
type publisher struct {
	peer peers.Peer
	conn net.Conn
	in   *bufio.Reader
}

func newPublisher(t *testing.T, p peers.Peer, addr string) *publisher {
	t.Helper()
	conn := dial(t, p, addr)
	return &publisher{peer: p, conn: conn, in: bufio.NewReader(conn)}
}

func (p *publisher) publish(channel string, payload []byte) error {
	return p.send(p.peer.Publish(channel, payload))
}

// send sends a request and reads the answer.
func (p *publisher) send(request []byte) error {
	if _, err := p.conn.Write(request); err != nil {
		return err
	}
	response, err := http.ReadResponse(p.in, nil)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 || response.Close {
		return fmt.Errorf("answer %s, close %t: %s", response.Status, response.Close, body)
	}
	return nil
}

// event is what a reader has read: a message, and its id.
type event struct {
	publisher, number int
	id                string
}

// messages returns what was published and stands whole in a line. It looks at megabytes
// under the race detector, so it is plain.
func messages(line string) (found []event) {
	const head = len(`"~0000~00000000~0000000000000000~`)
	for {
		_, rest, more := strings.Cut(line, `"~`)
		if !more || len(rest) < head {
			return found
		}
		line = rest
		publisher, bad := strconv.ParseUint(rest[:4], 16, 32)
		number, worse := strconv.ParseUint(rest[5:13], 16, 32)
		padding, _, whole := strings.Cut(rest[head-2:], `"`)
		if bad == nil && worse == nil && whole && strings.Count(padding, "x") == len(padding) {
			found = append(found, event{publisher: int(publisher), number: int(number)})
		}
	}
}

// subscribe returns the body of an answer whose head has come.
func subscribe(t *testing.T, p peers.Peer, addr, channel, lastEventID string) io.ReadCloser {
	t.Helper()
	conn := dial(t, p, addr)
	if _, err := conn.Write(p.Subscribe(channel, lastEventID, "")); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%s: no head: %v", p.Name, err)
	}
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", p.Name, response.Status)
	}
	return response.Body
}

// follow returns the messages of a stream as they come. The channel is closed when
// the connection is.
func follow(p peers.Peer, stream io.ReadCloser) <-chan event {
	events := make(chan event, 10_000)
	go func() { // ends with the connection, which ends with the test
		defer close(events)
		defer func() { _ = stream.Close() }()
		id := ""
		var held []event // of a peer whose ids come after the messages
		lines := bufio.NewScanner(stream)
		for lines.Scan() {
			line := lines.Text()
			if value, found := strings.CutPrefix(line, "id: "); found {
				id = value
			}
			value, found := strings.CutPrefix(line, p.IDPrefix)
			if found = found && p.IDPrefix != ""; found {
				id, _, _ = strings.Cut(value, `"`)
			}
			held = append(held, messages(line)...)
			if p.IDPrefix != "" && !found {
				continue
			}
			for _, e := range held {
				e.id = id
				events <- e
			}
			held = held[:0]
		}
	}()
	return events
}

// read subscribes and follows.
func read(t *testing.T, p peers.Peer, addr, channel, lastEventID string) <-chan event {
	t.Helper()
	return follow(p, subscribe(t, p, addr, channel, lastEventID))
}

// next is the next message of a reader.
func next(t *testing.T, events <-chan event) event {
	t.Helper()
	select {
	case e, open := <-events:
		if !open {
			t.Fatal("the stream has ended")
		}
		return e
	case <-time.After(patience):
		t.Fatal("the stream says nothing")
	}
	panic("not reached")
}

// settle publishes probes until each reader has had one, and so is subscribed. It
// returns how many of them there were.
func settle(t *testing.T, p *publisher, channel string, readers []<-chan event) int {
	t.Helper()
	seen := make([]bool, len(readers))
	for number := 1; ; number++ {
		if err := p.publish(channel, message(probe, number)); err != nil {
			t.Fatal(err)
		}
		missing := 0
		for i, events := range readers {
			select {
			case <-events:
				seen[i] = true
			case <-time.After(10 * time.Millisecond):
			}
			if !seen[i] {
				missing++
			}
		}
		if missing == 0 {
			return number
		}
	}
}
