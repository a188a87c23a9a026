package e2e_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/natstest"
)

// cluster is the arrangement of compose.cluster.yaml as processes: NATS servers that
// form a cluster, Sluice nodes, and nginx in front of them.
type cluster struct {
	t       testing.TB
	servers []*natstest.Server
	nodes   []*clusterNode
	url     string // of nginx
}

// clusterNode is a Sluice node, with what stands between it and NATS.
type clusterNode struct {
	*server
	args    []string
	proxies []*natstest.Proxy
}

// startCluster starts three of each.
func startCluster(t testing.TB, args ...string) *cluster {
	t.Helper()
	c := &cluster{t: t, servers: natstest.StartCluster(t, 3)}
	for range 3 {
		n := &clusterNode{}
		var urls []string
		for _, s := range c.servers {
			p := natstest.NewProxy(t, s)
			n.proxies, urls = append(n.proxies, p), append(urls, p.URL())
		}
		n.args = append([]string{"--api-keys=" + testKey, "--nats=" + strings.Join(urls, ","), "--nats-replicas=3"}, args...)
		n.server = serve(t, nil, "sluice", append([]string{"--listen=" + freeAddress(t)}, n.args...)...)
		c.nodes = append(c.nodes, n)
	}
	c.balance()
	return c
}

// balance starts nginx in front of the nodes, as docs/cluster/nginx.conf says: only its
// addresses are others.
func (c *cluster) balance() {
	c.t.Helper()
	text, err := os.ReadFile("../docs/cluster/nginx.conf")
	if err != nil {
		c.t.Fatal(err)
	}
	dir, address := c.t.TempDir(), freeAddress(c.t)
	config := string(text)
	replace := func(old, with string) {
		c.t.Helper()
		if n := strings.Count(config, "\n"+old); n != 1 {
			c.t.Fatalf("docs/cluster/nginx.conf has %d lines with %q, want 1", n, old)
		}
		config = strings.Replace(config, "\n"+old, "\n"+with, 1)
	}
	replace("    listen 8080;", "    listen "+address+";")
	for i, n := range c.nodes {
		replace(fmt.Sprintf("    server sluice-%d:8080 ", i+1), "    server "+n.address()+" ")
	}
	var temporary strings.Builder // where the system's own may not be written to
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temporary, "  %s_temp_path %s;\n", name, name)
	}
	replace("http {\n", "http {\n"+temporary.String())
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		c.t.Fatal(err)
	}
	launch(c.t, nil, nil, "nginx", "-p", dir, "-c", path, "-e", "stderr", "-g", "daemon off; master_process off; pid nginx.pid; error_log stderr;")
	c.url = "http://" + address
	eventually(c.t, func() bool {
		conn, err := (&net.Dialer{}).DialContext(c.t.Context(), "tcp", address)
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
}

// freeAddress returns a loopback address that nobody listens on now, for a server that is
// told where to listen, or comes back there. Its port is below those that systems give to
// outgoing connections, so none of these takes it while the server is away.
func freeAddress(t testing.TB) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(22_000))
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
		if err == nil {
			l.Close()
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

// restart starts a node that was killed, at the same address.
func (n *clusterNode) restart(t testing.TB) {
	t.Helper()
	n.server = serve(t, nil, "sluice", append([]string{"--listen=" + n.address()}, n.args...)...)
}

// cut takes a node's way to NATS away.
func (n *clusterNode) cut() {
	for _, p := range n.proxies {
		p.Cut()
	}
}

func (n *clusterNode) mend() {
	for _, p := range n.proxies {
		p.Mend()
	}
}

// isReady reports what GET /readyz answers.
func (n *clusterNode) isReady(ctx context.Context, c *http.Client) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.url+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := c.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// state says of each node whether it is ready, or why it is not.
func (c *cluster) state(ctx context.Context) string {
	var b strings.Builder
	for i, n := range c.nodes {
		fmt.Fprintf(&b, "\nnode %d: %s", i, n.readiness(ctx))
	}
	return b.String()
}

// readiness returns what GET /readyz answers.
func (n *clusterNode) readiness(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.url+"/readyz", nil)
	if err != nil {
		return err.Error()
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return resp.Status + " " + strings.TrimSpace(string(body))
}
