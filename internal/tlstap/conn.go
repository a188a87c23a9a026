package tlstap

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync"

	"github.com/sluicehq/sluice/internal/tlsrecord"
)

// maxTickets is how many records crypto/tls may have written under the traffic secret
// together with the handshake: session tickets. Today it writes one or none.
const maxTickets = 4

// Conn is a connection below crypto/tls. All methods are safe for concurrent use.
type Conn struct {
	net.Conn // static after construction

	mu      sync.Mutex
	secret  []byte  // guarded by mu; of what the server sends; nil: the connection is not to be taken over
	flight  bool    // guarded by mu; the next write has the end of the server's handshake in it
	written counter // guarded by mu; what was written after that
	holding bool    // guarded by mu
	held    []byte  // guarded by mu
	proven  int     // guarded by mu; how much of held the sealer's keys have opened
	deaf    bool    // guarded by mu; nothing more is read
}

// Of returns the tap of a connection, which may be wrapped in TLS, or nil.
func Of(conn net.Conn) *Conn {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	c, _ := conn.(*Conn)
	return c
}

// NetConn returns the connection that the tap is for.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// learn is told the secret when all that is left of the server's handshake is to write
// it.
func (c *Conn) learn(secret []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.secret, c.flight = secret, true
}

// Ready reports whether the connection may be taken over now.
func (c *Conn) Ready() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ready()
}

func (c *Conn) ready() bool { return c.secret != nil && !c.flight && c.written.between() }

// Read implements [net.Conn].
func (c *Conn) Read(p []byte) (int, error) {
	c.mu.Lock()
	deaf := c.deaf
	c.mu.Unlock()
	if deaf {
		return 0, os.ErrDeadlineExceeded // after which crypto/tls would go on
	}
	return c.Conn.Read(p)
}

// Write implements [net.Conn].
func (c *Conn) Write(p []byte) (int, error) {
	if c.hold(p) {
		return len(p), nil
	}
	n, err := c.Conn.Write(p)
	if n < len(p) || err != nil {
		c.giveUp() // a record was cut off
	}
	return n, err
}

// hold keeps p if writes are held, and counts its records otherwise.
func (c *Conn) hold(p []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.holding:
		c.held = append(c.held, p...)
	case c.flight:
		c.flight = false
	case c.secret != nil:
		c.written.count(p)
	}
	return c.holding
}

// Close implements [net.Conn].
func (c *Conn) Close() error {
	c.giveUp()
	return c.Conn.Close()
}

// giveUp forgets the secret.
func (c *Conn) giveUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget()
}

func (c *Conn) forget() {
	clear(c.secret)
	c.secret = nil
}

// Hold keeps back what is written from now on, until [Conn.Release] or [Conn.Detach].
func (c *Conn) Hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holding = true
}

// Release sends what was held, and gives the connection up: it is not taken over.
func (c *Conn) Release() error {
	c.giveUp()
	for {
		c.mu.Lock()
		p := c.held
		c.held, c.holding = nil, len(p) > 0 // what is written meanwhile comes after it
		c.mu.Unlock()
		if len(p) == 0 {
			return nil
		}
		if _, err := c.Conn.Write(p); err != nil {
			return err
		}
	}
}

// Sealer returns what seals the records that follow those held, which must be at least
// one and application data. suite is that of the connection. The secret is forgotten.
// Errors, with which the connection must be released: [ErrNotReady], [ErrKeys].
func (c *Conn) Sealer(suite uint16) (*tlsrecord.Sealer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ready() || len(c.held) == 0 {
		return nil, ErrNotReady
	}
	defer c.forget()
	next, err := opens(suite, c.secret, c.written.records, c.held)
	if err != nil {
		return nil, err
	}
	c.proven = len(c.held)
	return tlsrecord.NewSealer(suite, c.secret, next)
}

// opens returns the number of the record after those in sealed, of which the first has at
// least the given number.
func opens(suite uint16, secret []byte, number uint64, sealed []byte) (next uint64, err error) {
	o, err := tlsrecord.NewOpener(suite, secret, number)
	if err != nil {
		return 0, err
	}
	tickets := 0
	for len(sealed) > 0 {
		_, content, rest, err := o.Open(sealed)
		switch {
		case err == nil && content == tlsrecord.ApplicationData:
			sealed, tickets = rest, maxTickets // each of the others follows the one before it
		case err != nil && tickets < maxTickets:
			o.Skip()
			tickets++
		default:
			return 0, ErrKeys
		}
	}
	return o.Next(), nil
}

// Detach makes the tap the last user of the connection, and returns what was held. There
// must be a sealer, and nobody else may use t, which is the one of crypto/tls over the
// tap. What t has read from the client and nobody from t is looked at and dropped. t must
// not be used or closed afterwards.
//
// Errors, after which t can be closed: [io.EOF] if the client has ended what it sends,
// [ErrInterrupted], and others of t.
func (c *Conn) Detach(t *tls.Conn) ([]byte, error) {
	c.mu.Lock()
	c.deaf = true
	c.mu.Unlock()
	var b [512]byte
	for {
		if _, err := t.Read(b[:]); errors.Is(err, os.ErrDeadlineExceeded) {
			break
		} else if err != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.proven == 0 || len(c.held) != c.proven {
		return nil, ErrInterrupted
	}
	held := c.held
	c.held = nil
	return held, nil
}

// counter counts records in what is written, however it is cut into writes.
type counter struct {
	records uint64
	header  [tlsrecord.HeaderLen]byte
	have    int // bytes of the header
	body    int // bytes of the body to come
}

// between reports whether no record is written in part.
func (c *counter) between() bool { return c.have == 0 && c.body == 0 }

func (c *counter) count(p []byte) {
	for len(p) > 0 {
		if c.body > 0 {
			n := min(c.body, len(p))
			c.body -= n
			p = p[n:]
			continue
		}
		n := copy(c.header[c.have:], p)
		c.have += n
		p = p[n:]
		if c.have < len(c.header) {
			return
		}
		c.have, c.body = 0, int(c.header[3])<<8+int(c.header[4])
		if tlsrecord.Content(c.header[0]) == tlsrecord.ApplicationData {
			c.records++
		}
	}
}
