package proxies_test

import (
	"net/http"
	"net/netip"
	"testing"

	"github.com/sluicehq/sluice/internal/proxies"
)

// FuzzTrusted_ClientOf puts arbitrary text into X-Forwarded-For. The result is always an address, and
// one from the header only if a trusted proxy vouches for it.
func FuzzTrusted_ClientOf(f *testing.F) {
	for _, seed := range []string{
		"", "203.0.113.7", "203.0.113.7:1", "[2001:db8::1]:443", `"[::1]"`, "unknown", "_hidden", ",", "fe80::1%eth0", "::ffff:10.0.0.1, 10.0.0.2",
	} {
		f.Add("10.0.0.1:1", seed, seed)
	}
	trusted := proxies.Trusted{netip.MustParsePrefix("10.0.0.0/8")}
	f.Fuzz(func(t *testing.T, remote, one, two string) {
		if _, err := netip.ParseAddrPort(remote); err != nil {
			return
		}
		r := &http.Request{RemoteAddr: remote, Header: http.Header{"X-Forwarded-For": {one, two}}}
		got := trusted.ClientOf(r)
		addr, err := netip.ParseAddr(got)
		if err != nil {
			t.Fatalf("%q", got)
		}
		direct := netip.MustParseAddrPort(remote).Addr()
		if addr.WithZone("") != direct.Unmap().WithZone("") && addr != direct && !trusted[0].Contains(direct.Unmap()) {
			t.Errorf("%s is believed to speak for %s", direct, got)
		}
	})
}
