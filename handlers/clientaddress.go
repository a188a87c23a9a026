package handlers

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
)

// clientAddress returns a function that finds the client's address: that of the
// connection, or what trusted proxies report in X-Forwarded-For. Forwarded (RFC 7239) is
// not read: a proxy that writes one of the two headers passes on the other as the client
// sent it.
func clientAddress(trusted []netip.Prefix) echo.IPExtractor {
	return func(r *http.Request) string {
		return addressOf(r.RemoteAddr, r.Header.Values(echo.HeaderXForwardedFor), trusted)
	}
}

// addressOf returns the address of the client of a connection from host:port remote.
func addressOf(remote string, forwarded []string, trusted []netip.Prefix) string {
	direct, _, _ := net.SplitHostPort(remote)
	if len(trusted) == 0 {
		return direct
	}
	return forwardedFor(direct, forwarded, trusted)
}

// forwardedFor goes back from proxy to proxy and returns the first address that is not a
// trusted proxy's. If a proxy does not report its client, that is the proxy itself.
func forwardedFor(direct string, header []string, trusted []netip.Prefix) string {
	at, ok := parseHop(direct)
	if !ok || !trusts(trusted, at) {
		return direct
	}
	hops := strings.Split(strings.Join(header, ","), ",")
	for _, hop := range slices.Backward(hops) {
		before, ok := parseHop(hop)
		if !ok {
			break
		}
		if at = before; !trusts(trusted, at) {
			break
		}
	}
	return at.String()
}

// networkOf returns what limits know a client as. A client with an IPv6 address usually has all
// of its /64 network.
func networkOf(address string) string {
	addr, err := netip.ParseAddr(address)
	if err != nil || addr.Unmap().Is4() {
		return address
	}
	network, _ := addr.WithZone("").Prefix(64) // no address is shorter
	return network.String()
}

func trusts(trusted []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(addr) })
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
