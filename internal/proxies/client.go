// Package proxies finds out who is behind the proxies that an operator trusts.
package proxies

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Trusted are the networks of the proxies that are trusted.
type Trusted []netip.Prefix

// ClientOf returns the address of a request's client, see [Trusted.Client].
func (t Trusted) ClientOf(r *http.Request) string {
	return t.Client(r.RemoteAddr, r.Header.Values("X-Forwarded-For"))
}

// Client returns the address of the client of a connection from host:port remote: that of
// the connection, or what trusted proxies report in X-Forwarded-For. Forwarded (RFC 7239)
// is not read: a proxy that writes one of the two headers passes on the other as the client
// sent it.
func (t Trusted) Client(remote string, forwarded []string) string {
	direct, _, _ := net.SplitHostPort(remote)
	if len(t) == 0 {
		return direct
	}
	return t.forwardedFor(direct, forwarded)
}

// forwardedFor goes back from proxy to proxy and returns the first address that is not a
// trusted proxy's. If a proxy does not report its client, that is the proxy itself.
func (t Trusted) forwardedFor(direct string, header []string) string {
	at, ok := parseHop(direct)
	if !ok || !t.include(at) {
		return direct
	}
	hops := strings.Split(strings.Join(header, ","), ",")
	for _, hop := range slices.Backward(hops) {
		before, ok := parseHop(hop)
		if !ok {
			break
		}
		if at = before; !t.include(at) {
			break
		}
	}
	return at.String()
}

// NetworkOf returns what limits know a client as. A client with an IPv6 address usually has all
// of its /64 network.
func NetworkOf(address string) string {
	addr, err := netip.ParseAddr(address)
	if err != nil || addr.Unmap().Is4() {
		return address
	}
	network, _ := addr.WithZone("").Prefix(64) // no address is shorter
	return network.String()
}

// Peer reports whether the peer of a connection from host:port remote is a trusted proxy.
func (t Trusted) Peer(remote string) bool {
	addr, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	return t.include(addr.Addr().Unmap().WithZone(""))
}

func (t Trusted) include(addr netip.Addr) bool {
	return slices.ContainsFunc(t, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// parseHop reads an element of X-Forwarded-For. There is no standard for it: some proxies
// quote the address, or add brackets or a port. A name, such as unknown, is not an
// address.
func parseHop(hop string) (netip.Addr, bool) {
	hop = strings.Trim(strings.TrimSpace(hop), `"`)
	if host, _, err := net.SplitHostPort(hop); err == nil {
		hop = host
	}
	hop = strings.TrimSuffix(strings.TrimPrefix(hop, "["), "]")
	addr, err := netip.ParseAddr(hop)
	if err != nil {
		return netip.Addr{}, false
	}
	return addr.Unmap().WithZone(""), true
}
