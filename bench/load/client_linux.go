package load

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

const (
	bufferBytes = 256 << 10
	// readBatch is how many readers are read before publishers are looked at again: a
	// server has other publishers' messages to gather while it writes.
	readBatch = 16
	// publisherSource is a source address that no reader has.
	publisherSource = 250
	// headLimit bounds waiting for answers that should come at once.
	headLimit = 20 * time.Second
	timerID   = -1
)

// ErrTimeout is of something that did not happen in time.
var ErrTimeout = errors.New("load: waited in vain")

// Config is what a [Client] is made of.
type Config struct {
	Addr        netip.AddrPort // of the server, IPv4
	Clock       Clock
	Channels    int
	Publishers  int    // connections that publish
	RememberIDs bool   // keep the last event id of each reader, at some cost an event
	IDPrefix    string // see [LastID]
	Secure      bool   // over TLS 1.3
	// RememberSessions has readers that come back resume their TLS sessions.
	RememberSessions bool
	Spin             bool // never sleep while readers wait for publishers: for a core of its own
}

// Counts is what has happened since the last [Client.Reset].
type Counts struct {
	Check
	Published uint64
	Answered  uint64
	Chunks    uint64        // of the texts that were answered, in how many messages the server has divided them
	Read      uint64        // bytes of the bodies of readers
	Wire      uint64        // bytes that readers have received, with all that is around these
	Resumed   uint64        // handshakes of readers that resumed a TLS session
	Busy      time.Duration // in which there was something to read or write
}

// Client reads and publishes, all of it in the goroutine that calls its methods: it is not
// safe for concurrent use.
type Client struct {
	config        Config
	readers       []reader
	publishers    []*publisher
	lines         []*lineWriter
	texts         []*textWriter
	readerPoll    *poller
	publisherPoll *poller
	timer         int

	sequences  *sequences
	sent       [][]uint32 // publisher, channel: messages sent
	perChannel []int32    // readers
	due        uint64     // deliveries that follow from what was sent
	opening    int        // readers without a head yet
	counts     Counts     // its Check is of the start of the window
	latency    Histogram
	answerTime Histogram

	closed bool  // publishers send as soon as they are answered
	every  int64 // nanoseconds between two messages of one publisher of an open loop
	next   int   // publisher whose turn it is in an open loop
	dueAt  int64 // when its message is due
	since  int64 // when time was last accounted for
	worked bool  // something has been ready since

	buffer []byte
	opened []byte // what was in records
	marks  []Mark
	tokens []uint32
}

// New makes a client without connections. Close it.
func New(config Config) (*Client, error) {
	c := &Client{
		config:     config,
		sequences:  newSequences(config.Publishers),
		perChannel: make([]int32, config.Channels),
		buffer:     make([]byte, bufferBytes),
		marks:      make([]Mark, 0, bufferBytes/markBytes),
		timer:      -1,
	}
	for range config.Publishers {
		c.sent = append(c.sent, make([]uint32, config.Channels))
	}
	for _, p := range []**poller{&c.readerPoll, &c.publisherPoll} {
		var err error
		if *p, err = newPoller(readBatch); err != nil {
			c.Close()
			return nil, err
		}
	}
	timer, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("load: timer: %w", err)
	}
	c.timer = timer
	if err := c.publisherPoll.add(timer, timerID); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Close closes all connections.
func (c *Client) Close() {
	c.Hangup()
	for _, p := range c.publishers {
		_ = unix.Close(p.fd)
	}
	for _, l := range c.lines {
		_ = unix.Close(l.fd)
	}
	for _, w := range c.texts {
		w.close()
	}
	for _, p := range []*poller{c.readerPoll, c.publisherPoll} {
		if p != nil {
			p.close()
		}
	}
	if c.timer >= 0 {
		_ = unix.Close(c.timer)
	}
}

// Reset begins a window: counts and times start over. What is due to whom does not.
func (c *Client) Reset() {
	c.counts = Counts{Check: c.check()}
	c.latency.Reset()
	c.answerTime.Reset()
}

// Counts returns what has happened in the window.
func (c *Client) Counts() Counts {
	now, start := c.check(), c.counts.Check
	counts := c.counts
	counts.Check = Check{
		Delivered: now.Delivered - start.Delivered,
		Lost:      now.Lost - start.Lost,
		Doubled:   now.Doubled - start.Doubled,
		Stray:     now.Stray - start.Stray,
		Closed:    now.Closed - start.Closed,
	}
	return counts
}

// Total returns what was found since the client was made. Missing is what has not come yet.
func (c *Client) Total() Check {
	check := c.check()
	if came := check.Delivered + check.Lost; came < c.due {
		check.Missing = c.due - came
	}
	return check
}

func (c *Client) check() Check {
	check := c.sequences.check
	for i := range c.readers {
		check.Stray += uint64(c.readers[i].scan.Stray)
		if s := c.readers[i].tokens; s != nil {
			check.Stray += uint64(s.Stray)
		}
	}
	return check
}

// Latency returns the times from a message's sending to its reading, of this window.
func (c *Client) Latency() *Histogram { return &c.latency }

// AnswerTime returns the times from a publish to its answer, of this window.
func (c *Client) AnswerTime() *Histogram { return &c.answerTime }

// Drain waits until all readers have what they are due and all publishers are answered, for
// limit at most, and tells whether that is so.
func (c *Client) Drain(limit time.Duration) (bool, error) {
	err := c.until(func() bool {
		for _, p := range c.publishers {
			if p.busy {
				return false
			}
		}
		for _, l := range c.lines {
			if l.unanswered > 0 {
				return false
			}
		}
		for _, w := range c.texts {
			if w.busy() {
				return false
			}
		}
		came := c.sequences.check
		return c.opening == 0 && came.Delivered+came.Lost >= c.due
	}, limit)
	if errors.Is(err, ErrTimeout) {
		return false, nil
	}
	return err == nil, err
}
