package floor

import (
	"crypto/tls"
	"fmt"
	"runtime/debug"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluicehq/sluice/internal/tlstap"
)

// pollEvery is after how many writes to readers Paced looks at the other sockets:
// publishers must be served while a pass runs, or there is nothing to gather. The
// fewer, the more events come together in a pass.
const pollEvery = 16

// tidyAfter is how long there is nothing to do until the memory of handshakes is given back.
const tidyAfter = time.Second

// server is the whole floor. One goroutine runs it, so nothing in it is guarded.
type server struct {
	mode     Mode
	epoll    int32
	listener int32
	config   *tls.Config // nil without TLS

	channels map[string]*channel
	conns    []conn     // by descriptor, as many as the process may open
	secured  []*secured // likewise; nil without TLS
	untidy   bool       // handshakes have left memory that nothing uses

	ready   []*channel // to be passed over, oldest first
	resting []*channel // Paced: passed over less than Pace ago, in order of due
	overdue int        // how many of resting have news

	events   [256]unix.EpollEvent
	in       [maxRequest]byte
	out      []byte // replies and first writes, while they are built
	sealed   []byte // records, while they are built
	unpolled int    // writes to readers since the last look at other sockets
	start    time.Time
}

// Serve serves on addr, an IPv4 address and a port, until the process ends: over TLS 1.3
// with a certificate of config, or without TLS if that is nil. It
// returns only when it cannot go on; the runtime must have no other work (it
// waits in system calls that the runtime knows nothing of), so it belongs in a
// process of its own, with GODEBUG=asyncpreemptoff=1 to spare it the signals.
func Serve(addr string, mode Mode, config *tls.Config) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("floor: descriptor limit: %w", err)
	}
	listener, err := listen(addr)
	if err != nil {
		return fmt.Errorf("floor: listen on %s: %w", addr, err)
	}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("floor: epoll: %w", err)
	}
	if errno := watch(int32(epoll), unix.EPOLL_CTL_ADD, listener, unix.EPOLLIN); errno != 0 {
		return fmt.Errorf("floor: epoll: %w", errno)
	}
	s := &server{
		mode:     mode,
		epoll:    int32(epoll),
		listener: listener,
		channels: map[string]*channel{},
		conns:    make([]conn, min(limit.Cur, 1<<20)),
		start:    time.Now(),
	}
	if config != nil {
		config = config.Clone()
		config.MinVersion, config.NextProtos = tls.VersionTLS13, []string{"http/1.1"}
		s.config, s.secured = tlstap.Config(config), make([]*secured, len(s.conns))
	}
	return s.run()
}

func (s *server) run() error {
	for {
		if err := s.poll(s.patience()); err != nil {
			return err
		}
		s.wake()
		turn := s.ready // what becomes ready meanwhile is behind it, or elsewhere
		for _, ch := range turn {
			if err := s.pass(ch); err != nil {
				return err
			}
		}
		s.ready = s.ready[:copy(s.ready, s.ready[len(turn):])]
	}
}

// patience is how long there is nothing to do unless a socket has something.
func (s *server) patience() time.Duration {
	switch {
	case len(s.ready) > 0:
		return 0
	case s.overdue > 0:
		return max(0, s.resting[0].due-time.Since(s.start))
	case s.untidy:
		return tidyAfter
	default:
		return forever
	}
}

// poll serves the sockets that are ready, and waits for one if there is none.
func (s *server) poll(patience time.Duration) error {
	s.unpolled = 0
	n, errno := await(s.epoll, s.events[:], patience)
	if errno != 0 {
		if errno == syscall.EINTR {
			return nil
		}
		return fmt.Errorf("floor: epoll: %w", errno)
	}
	if n == 0 && patience == tidyAfter {
		debug.FreeOSMemory()
		s.untidy = false
	}
	for i := range s.events[:n] {
		event := &s.events[i]
		if event.Fd == s.listener {
			if err := s.accept(); err != nil {
				return err
			}
			continue
		}
		s.serve(event.Fd, event.Events)
	}
	return nil
}

// wake ends the rest of the channels whose time has come.
func (s *server) wake() {
	if len(s.resting) == 0 {
		return
	}
	now := time.Since(s.start)
	woken := 0
	for _, ch := range s.resting {
		if ch.due > now {
			break
		}
		woken++
		ch.state = idle
		if ch.hasNews() {
			s.overdue--
			s.enqueue(ch)
		}
	}
	s.resting = s.resting[:copy(s.resting, s.resting[woken:])]
}
