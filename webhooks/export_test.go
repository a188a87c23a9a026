package webhooks

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// DialWith has a sender connect with dial, wherever that leads.
func (o *Options) DialWith(dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	o.dial = dial
}

// ResolveWith has a sender resolve names with r.
func (o *Options) ResolveWith(r *net.Resolver) { o.resolver = r }

// Parse returns the faults of a document.
func Parse(text string) []error {
	_, faults := parse([]byte(text))
	return faults
}

// Sign is sign.
func Sign(secrets []Secret, id string, at time.Time, body []byte) string {
	return sign(secrets, id, at, body)
}

// Allows reports whether connections to an address are made.
func (o *Options) Allows(a netip.Addr) bool { return guard{o.Allow}.allows(a) }

// UsesProxy reports whether requests may go through a proxy. The environment is read once in a
// process, so a test cannot set it.
func (o *Options) UsesProxy() bool {
	transport, ours := newClient(o).Transport.(*http.Transport)
	return !ours || transport.Proxy != nil
}

// Held returns how many lanes there are, and how many events are in them.
func (s *Sender) Held() (lanes, items int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.endpoints {
		lanes += len(e.lanes)
		for _, l := range e.lanes {
			items += len(l.items)
		}
	}
	return lanes, items
}
