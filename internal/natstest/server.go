//go:build unix

package natstest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a server may take to listen.
const patience = time.Minute

// Server is a running nats-server. Its methods are for the goroutine of the test.
type Server struct {
	t       testing.TB
	name    string
	dir     string
	config  string // of the user: more lines of the configuration
	port    int
	cluster int   // port of routes; 0: it is alone
	routes  []int // ports where it finds the others
	// advertise is the port where the others are told to find it; 0: nowhere.
	advertise int

	mu     sync.Mutex
	proc   *exec.Cmd     // guarded by mu; nil: it does not run
	exited chan struct{} // guarded by mu; closed when proc has ended
	log    bytes.Buffer  // guarded by mu
}

// Start starts one server, with more lines of configuration, such as users. There, {dir}
// stands for a directory of the server's own. It is stopped when the test ends.
func Start(t testing.TB, config string) *Server {
	t.Helper()
	s := &Server{t: t, name: "one", dir: t.TempDir(), config: config}
	for range 5 {
		s.port = freePort(t)
		if err := s.run(); err == nil {
			t.Cleanup(s.Kill)
			return s
		}
		s.Kill() // another process may have taken the port
	}
	t.Fatalf("natstest: the server does not start:\n%s", s.Log())
	return nil
}

// StartCluster starts n servers that form a cluster, each with more lines of
// configuration as [Start] takes them. With -short it skips the test.
func StartCluster(t testing.TB, n int, config ...string) []*Server {
	t.Helper()
	return startCluster(t, n, strings.Join(config, "\n"), func([]*Server) {})
}

// startCluster starts servers that find each other where arrange says, or else directly.
func startCluster(t testing.TB, n int, config string, arrange func([]*Server)) []*Server {
	t.Helper()
	if testing.Short() {
		t.Skip("it needs a cluster, left out with -short")
	}
	for range 5 {
		servers := make([]*Server, n)
		routes := make([]int, n)
		for i := range servers {
			routes[i] = freePort(t)
			servers[i] = &Server{
				t: t, name: fmt.Sprintf("node%d", i+1), dir: t.TempDir(), config: config,
				port: freePort(t), cluster: routes[i], routes: routes,
			}
		}
		arrange(servers)
		if startAll(servers) {
			t.Cleanup(func() { kill(servers) })
			return servers
		}
		kill(servers)
	}
	t.Fatal("natstest: the cluster does not start")
	return nil
}

func startAll(servers []*Server) bool {
	for _, s := range servers {
		if err := s.launch(); err != nil {
			return false
		}
	}
	for _, s := range servers {
		if err := s.await(); err != nil {
			s.t.Logf("natstest: %v\n%s", err, s.Log())
			return false
		}
	}
	if err := servers[0].awaitJetStream(); err != nil {
		servers[0].t.Logf("natstest: %v\n%s", err, servers[0].Log())
		return false
	}
	return true
}

// awaitJetStream returns when JetStream answers. The servers of a cluster have to find each other
// and to elect a leader first.
func (s *Server) awaitJetStream() error {
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		if s.hasJetStream() {
			return nil
		}
	}
	return errors.New("JetStream does not answer")
}

// hasJetStream asks for the account's figures.
func (s *Server) hasJetStream() bool {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(context.Background(), "tcp", s.Addr())
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := io.WriteString(conn, "CONNECT {\"verbose\":false}\r\nSUB answer 1\r\nPUB $JS.API.INFO answer 0\r\n\r\n"); err != nil {
		return false
	}
	answered := false
	for lines := bufio.NewScanner(conn); lines.Scan(); answered = strings.HasPrefix(lines.Text(), "MSG answer ") {
		if answered {
			return !strings.Contains(lines.Text(), `"error"`)
		}
	}
	return false
}

func kill(servers []*Server) {
	for _, s := range servers {
		s.Kill()
	}
}

// freePort returns a port that nobody listens on now. It is below those that systems
// give to outgoing connections, so none of these takes it before the server does.
func freePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := 10_000 + rand.IntN(22_000)
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("natstest: no port is free")
	return 0
}

// URL returns where clients connect to.
func (s *Server) URL() string { return fmt.Sprintf("nats://127.0.0.1:%d", s.port) }

// Addr returns the address that clients connect to.
func (s *Server) Addr() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// Name returns the server's name within its cluster.
func (s *Server) Name() string { return s.name }

// URLs returns the URLs of servers.
func URLs(servers []*Server) []string {
	urls := make([]string, len(servers))
	for i, s := range servers {
		urls[i] = s.URL()
	}
	return urls
}

// Log returns what the server has written.
func (s *Server) Log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// Write takes what the server writes.
func (s *Server) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

func (s *Server) configuration() string {
	var b strings.Builder
	fmt.Fprintf(&b, "server_name: %s\nlisten: 127.0.0.1:%d\n", s.name, s.port)
	fmt.Fprintf(&b, "jetstream { store_dir: %q, max_mem: 256MB, max_file: 2GB }\n", filepath.Join(s.dir, "store"))
	if s.cluster != 0 {
		fmt.Fprintf(&b, "cluster { name: test, listen: 127.0.0.1:%d, no_advertise: true, ", s.cluster)
		if s.advertise != 0 {
			fmt.Fprintf(&b, "advertise: \"127.0.0.1:%d\", ", s.advertise)
		}
		b.WriteString("routes: [")
		for _, port := range s.routes {
			fmt.Fprintf(&b, "\n nats://127.0.0.1:%d", port)
		}
		b.WriteString("\n]}\n")
	}
	b.WriteString(strings.ReplaceAll(s.config, "{dir}", s.dir))
	return b.String()
}

func (s *Server) run() error {
	if err := s.launch(); err != nil {
		return err
	}
	return s.await()
}

// launch starts the process.
func (s *Server) launch() error {
	file := filepath.Join(s.dir, "server.conf")
	if err := os.WriteFile(file, []byte(s.configuration()), 0o600); err != nil {
		return err
	}
	command := exec.CommandContext(context.Background(), binary(s.t), "-c", file) //nolint:gosec // the path and the file are of our making
	command.Stdout, command.Stderr = s, s
	bindLife(command)
	exited := make(chan struct{})
	started := make(chan error)
	go func() { // ends with the process
		// Where a process dies with the thread that has started it, that thread must stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := command.Start()
		started <- err
		if err == nil {
			_ = command.Wait()
		}
		close(exited)
	}()
	if err := <-started; err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proc, s.exited = command, exited
	return nil
}

// await returns when the server greets clients.
func (s *Server) await() error {
	s.mu.Lock()
	exited := s.exited
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	pause := time.NewTicker(10 * time.Millisecond)
	defer pause.Stop()
	for {
		if s.greets(ctx) {
			return nil
		}
		select {
		case <-exited:
			return fmt.Errorf("server %s has ended", s.name)
		case <-ctx.Done():
			return fmt.Errorf("server %s does not listen", s.name)
		case <-pause.C:
		}
	}
}

func (s *Server) greets(ctx context.Context) bool {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", s.Addr())
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(time.Second))
	greeting := make([]byte, 5)
	n, _ := conn.Read(greeting)
	return string(greeting[:n]) == "INFO "
}

// Kill ends the server at once, as a power failure does. It does nothing if the
// server does not run.
func (s *Server) Kill() { s.signal(syscall.SIGKILL, true) }

// Stop freezes the server, as a machine that hangs: its connections stay.
func (s *Server) Stop() {
	s.signal(syscall.SIGSTOP, false)
	s.mu.Lock()
	pid := s.proc.Process.Pid
	s.mu.Unlock()
	for !frozen(pid) {
		time.Sleep(time.Millisecond)
	}
}

// Continue ends Stop.
func (s *Server) Continue() { s.signal(syscall.SIGCONT, false) }

// Restart starts the server again, with what it has stored, after Kill or instead of
// it.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	if err := s.run(); err != nil {
		s.t.Fatalf("natstest: %v\n%s", err, s.Log())
	}
}

func (s *Server) signal(sig syscall.Signal, wait bool) {
	s.mu.Lock()
	proc, exited := s.proc, s.exited
	s.mu.Unlock()
	if proc == nil {
		return
	}
	_ = proc.Process.Signal(sig)
	if wait {
		<-exited
		s.mu.Lock()
		s.proc = nil
		s.mu.Unlock()
	}
}
