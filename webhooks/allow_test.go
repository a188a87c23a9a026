package webhooks_test

import (
	"net/netip"
	"testing"

	"github.com/sluicehq/sluice/webhooks"
)

func TestAllows(t *testing.T) {
	for text, public := range map[string]bool{
		"93.184.215.14": true, "8.8.8.8": true, "100.63.255.255": true, "100.128.0.1": true, "172.15.0.1": true, "172.32.0.1": true,
		"127.0.0.1": false, "127.255.255.254": false, "0.0.0.0": false, "0.1.2.3": false,
		"10.0.0.1": false, "172.16.0.1": false, "172.31.255.255": false, "192.168.1.1": false,
		"169.254.169.254": false, "100.64.0.1": false, "100.100.100.200": false, "192.0.0.192": false, "168.63.129.16": false,
		"198.18.0.1": false, "192.0.2.1": false, "198.51.100.1": false, "203.0.113.1": false, "192.88.99.1": false,
		"224.0.0.1": false, "240.0.0.1": false, "255.255.255.255": false,
		"2606:2800:21f:cb07:6820:80da:af6b:8b2c": true, "2001:4860:4860::8888": true, "64:ff9b::808:808": true,
		"::": false, "::1": false, "::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::ffff:8.8.8.8": true, "::7f00:1": false,
		"64:ff9b::7f00:1": false, "64:ff9b::a9fe:a9fe": false, "64:ff9b:1::1": false,
		"fe80::1": false, "fe80::1%eth0": false, "fc00::1": false, "fd00:ec2::254": false, "fec0::1": false, "ff02::1": false,
		"2001::1": false, "2001:db8::1": false, "2002:7f00:1::": false, "3fff::1": false, "100::1": false, "5f00::1": false, "4000::1": false,
	} {
		if got := new(webhooks.Options).Allows(netip.MustParseAddr(text)); got != public {
			t.Errorf("%s: %t", text, got)
		}
	}
}

func TestAllows_named(t *testing.T) {
	g := webhooks.Options{Allow: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("fe80::/10")}}
	for text, allowed := range map[string]bool{
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "64:ff9b::a01:203": true, "10.2.0.1": false, "127.0.0.1": false, "8.8.8.8": true,
		"fd12::1": true, "fc12::1": false, "fe80::1%eth0": true,
	} {
		if got := g.Allows(netip.MustParseAddr(text)); got != allowed {
			t.Errorf("%s: %t", text, got)
		}
	}
	dev := webhooks.Options{Allow: webhooks.Loopback()}
	if !dev.Allows(netip.MustParseAddr("127.0.0.1")) || !dev.Allows(netip.MustParseAddr("::1")) || dev.Allows(netip.MustParseAddr("192.168.0.1")) {
		t.Error("loopback")
	}
}
