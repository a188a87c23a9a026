//go:build unix

package natstest

import (
	"fmt"
	"net"
	"testing"
)

// Parted is a cluster of servers that can be cut off from each other, while their
// clients still reach them.
type Parted struct {
	Servers []*Server
	ways    [][]*Proxy // from a server to another one
}

// StartParted starts n servers that form a cluster over proxies. With -short it
// skips the test.
func StartParted(t testing.TB, n int) *Parted {
	t.Helper()
	p := new(Parted)
	// What servers tell each other of further ones leads nowhere: they would go around
	// the proxies. Each of them knows all others by its configuration.
	nowhere := freePort(t)
	p.Servers = startCluster(t, n, "", func(servers []*Server) {
		p.ways = make([][]*Proxy, n)
		for i, from := range servers {
			from.routes, from.advertise = nil, nowhere
			for k, to := range servers {
				if i == k {
					continue
				}
				way := newProxy(t, fmt.Sprintf("127.0.0.1:%d", to.cluster))
				p.ways[i] = append(p.ways[i], way)
				p.ways[k] = append(p.ways[k], way)
				from.routes = append(from.routes, way.listener.Addr().(*net.TCPAddr).Port)
			}
		}
	})
	return p
}

// Isolate cuts the i-th server off from the others, until Join.
func (p *Parted) Isolate(i int) {
	for _, way := range p.ways[i] {
		way.Cut()
	}
}

// Join undoes Isolate.
func (p *Parted) Join(i int) {
	for _, way := range p.ways[i] {
		way.Mend()
	}
}
