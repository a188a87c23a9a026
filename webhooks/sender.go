package webhooks

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/sluicehq/sluice/broker/engine/outbox"
	"github.com/sluicehq/sluice/internal/watchedfile"
)

const (
	// fileInterval is the time between two looks at the file. A change takes effect at the
	// second look that finds the file the same.
	fileInterval = 200 * time.Millisecond
	// closeTimeout is how long Close waits for events that have not been sent yet.
	closeTimeout = 5 * time.Second
)

// Options configure a [Sender].
type Options struct {
	File string // see [CheckFile]
	// Outboxes are where events come from: one for each shard of the service.
	Outboxes []outbox.Store
	// Watch tells of readers of channels. Their events go through the first outbox. Default:
	// nobody is told of readers.
	Watch Watch
	// Bus connects the nodes of a service, so that each can tell how it goes on all of them.
	// Default: this node is alone.
	Bus Bus
	// Kept says that the outboxes outlive the process.
	Kept bool
	// Allow are networks that are not public to which events may be sent all the same.
	Allow []netip.Prefix
	// Log gets a line when an endpoint begins to fail or answers again, and when events are
	// given up. Default: no log.
	Log *slog.Logger

	resolver *net.Resolver                                                        // default: the system's
	dial     func(ctx context.Context, network, address string) (net.Conn, error) // default: over the network, where Allow lets it
}

// Sender sends events to the endpoints in the file. Its methods are safe for concurrent use.
type Sender struct {
	// Static after construction.
	opts     Options
	client   *http.Client
	file     watchedfile.File
	sources  []*source
	node     string          // names this node among others
	unlisten func()          // ends the calls of hear; nil without a bus
	life     context.Context // until the end of Close
	end      context.CancelFunc
	closing  sync.Once
	// running has the goroutines that end with life.
	running sync.WaitGroup

	mu        sync.Mutex
	endpoints []*endpoint       // guarded by mu; in the order of the file
	queue     queue             // guarded by mu
	counts    Stats             // guarded by mu; without current figures
	others    map[string]report // guarded by mu; what other nodes have said, by node
	changed   chan struct{}     // guarded by mu; closed when the file has changed
	progress  chan struct{}
}

// New reads the file and starts to send. The caller closes the sender. The error joins the
// faults of the file.
func New(o Options) (*Sender, error) {
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	s := &Sender{
		opts: o, client: newClient(&o), progress: make(chan struct{}, 1), changed: make(chan struct{}),
		node: rand.Text(), others: make(map[string]report),
		file: watchedfile.File{Path: o.File, Log: o.Log, Every: fileInterval / 2, Settles: true},
	}
	s.life, s.end = context.WithCancel(context.Background())
	if err := s.file.Read(s.load); err != nil {
		s.end()
		s.running.Wait()
		return nil, fmt.Errorf("webhooks: %s: %w", o.File, err)
	}
	s.running.Go(s.watch)
	for i, box := range o.Outboxes {
		src := &source{sender: s, box: box, wake: make(chan struct{}, 1), flush: make(chan chan struct{}), tells: i == 0 && o.Watch != nil}
		if len(o.Outboxes) > 1 {
			src.shard = i + 1
		}
		s.sources = append(s.sources, src)
	}
	if err := s.join(); err != nil {
		s.end()
		s.running.Wait()
		return nil, err
	}
	for _, src := range s.sources {
		s.running.Go(src.run)
	}
	return s, nil
}

// join begins to tell other nodes how it goes, and to hear of them.
func (s *Sender) join() (err error) {
	if s.opts.Bus == nil {
		return nil
	}
	if s.unlisten, err = s.opts.Bus.Listen(busTopic, s.hear); err != nil {
		return fmt.Errorf("webhooks: %w", err)
	}
	s.running.Go(s.tellOthers)
	return nil
}

// Close sends what has not been tried yet, for a few seconds, and ends. What is not delivered
// by then is sent after the next start, if the outboxes are kept. Close is idempotent. A nil
// sender has nothing to close.
func (s *Sender) Close() {
	if s == nil {
		return
	}
	s.closing.Do(func() {
		limited, cancel := context.WithTimeout(s.life, closeTimeout)
		defer cancel()
		for _, src := range s.sources {
			src.catchUp(limited)
		}
		for s.busy() && limited.Err() == nil {
			select {
			case <-s.progress:
			case <-limited.Done():
			}
		}
		s.end()
		s.running.Wait()
		if s.unlisten != nil {
			s.unlisten()
		}
		s.client.CloseIdleConnections()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.report()
	})
}

// busy reports whether an event is being sent, or was never tried.
func (s *Sender) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.endpoints {
		if e.running > 0 || e.fresh() {
			return true
		}
	}
	return false
}

// watch looks at the file and logs what was given up, until life ends.
func (s *Sender) watch() {
	ticker := time.NewTicker(fileInterval)
	defer ticker.Stop()
	for {
		select {
		case <-s.life.Done():
			return
		case now := <-ticker.C:
			s.file.Poll(now, s.load)
			s.mu.Lock()
			s.report()
			s.mu.Unlock()
		}
	}
}

// load replaces the endpoints by those of a document. An endpoint is recognized by its URL,
// and keeps what is pending for it. What is pending for one that is gone is given up.
func (s *Sender) load(text []byte) error {
	all, faults := parse(text)
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before := make(map[string]*endpoint, len(s.endpoints))
	for _, e := range s.endpoints {
		before[e.settings.url.String()] = e
	}
	again := len(s.endpoints) > 0
	s.endpoints = nil
	for _, settings := range all {
		e := before[settings.url.String()]
		if e == nil {
			e = newEndpoint(s, settings)
			s.running.Go(e.run) // until the endpoint is removed, or life ends
		} else if !e.settings.same(settings) {
			e.change(settings)
		}
		delete(before, settings.url.String())
		s.endpoints = append(s.endpoints, e)
	}
	for _, e := range before {
		s.giveUpAll(e, reasonRemoved)
		s.reportOn(e)
		e.remove()
	}
	close(s.changed)
	s.changed = make(chan struct{})
	if again {
		s.opts.Log.Info("webhooks read again", slog.String("path", s.opts.File), slog.Int("webhooks", len(all)))
	}
	return nil
}
