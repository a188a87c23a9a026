package webhooks

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
)

// errForbiddenAddress means that an endpoint's name stands for an address that nothing is
// sent to.
var errForbiddenAddress = errors.New("its address is not public; to allow it, name its network in --webhooks-allow")

// special are the networks that are not public: those of this machine, of private networks, of
// clouds' metadata services, and whatever else is not a host on the internet
// (https://www.iana.org/assignments/iana-ipv4-special-registry and the one for IPv6). Of
// IPv6, only 2000::/3 is public at all.
var special = [...]netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("168.63.129.16/32"), // Azure: the host of a machine, which gives it its settings
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"),
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("224.0.0.0/3"),

	netip.MustParsePrefix("2001::/23"),     // among them Teredo
	netip.MustParsePrefix("2001:db8::/32"), // documentation
	netip.MustParsePrefix("2002::/16"),     // 6to4: has an IPv4 address in it
	netip.MustParsePrefix("3fff::/20"),     // documentation
}

// public are the networks of IPv6 that have public addresses.
var public = [...]netip.Prefix{netip.MustParsePrefix("2000::/3")}

// translated are the networks whose addresses have one of IPv4 in their last four bytes, which
// is where they lead (RFC 6052).
var translated = [...]netip.Prefix{netip.MustParsePrefix("64:ff9b::/96")}

// Loopback returns the networks of this machine itself, for [Options.Allow].
func Loopback() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// guard decides to which addresses connections may be made. It sees the address of each
// connection, after names were resolved: what a name stood for a moment ago, or will stand for
// the next time, makes no difference.
type guard struct{ allowed []netip.Prefix }

// control is a [net.Dialer.Control].
func (g guard) control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("webhooks: not an address: %w", err)
	}
	if !g.allows(to.Addr()) {
		return errForbiddenAddress
	}
	return nil
}

func (g guard) allows(a netip.Addr) bool {
	a = a.Unmap()
	among := func(p netip.Prefix) bool { return p.Contains(a.WithZone("")) }
	if slices.ContainsFunc(g.allowed, among) {
		return true
	}
	if slices.ContainsFunc(translated[:], among) {
		b := a.As16()
		return g.allows(netip.AddrFrom4([4]byte(b[12:])))
	}
	return (a.Is4() || slices.ContainsFunc(public[:], among)) && !slices.ContainsFunc(special[:], among)
}
