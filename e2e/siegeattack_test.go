package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// siegeKinds are the attacks on a server. They need no credential, or a token that
// may only publish; a backend put the costly definitions there.
var siegeKinds = []string{"slow body", "slow head", "slow publish", "bad token", "deep JSON", "recursive data", "many wrong items", "costly references"}

// attack starts all attacks; they end with ctx.
func (k *siege) attack(ctx context.Context, running *sync.WaitGroup, slow int) {
	host := "\r\nHost: " + k.server.address() + "\r\n"
	heads := map[string]string{
		"slow body":    "GET /healthz HTTP/1.1" + host + "Content-Length: 1000\r\n\r\n",
		"slow head":    "GET /v1/subscribe?channel=c HTTP/1.1" + host,
		"slow publish": "POST /v1/publish/attacked:1/any HTTP/1.1" + host + "Authorization: Bearer " + k.token + "\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n",
	}
	for i := range slow {
		kind := siegeKinds[i%len(heads)]
		running.Go(func() { k.drip(ctx, kind, heads[kind]) })
	}
	union := "/v1/publish/attacked:1/union"
	recursive := strings.Repeat(`{"arg":`, 20) + `"x"` + strings.Repeat("}", 20)
	k.flood(ctx, running, "bad token", http.MethodGet, "/v1/subscribe?channel=siege:1", func() (string, string) { return "", k.token + "x" })
	k.flood(ctx, running, "deep JSON", http.MethodPost, "/v1/publish/attacked:1/any", func() (string, string) {
		return strings.Repeat("[", 10000) + strings.Repeat("]", 10000), k.token
	})
	k.flood(ctx, running, "recursive data", http.MethodPost, union, func() (string, string) { return recursive, k.token })
	k.flood(ctx, running, "many wrong items", http.MethodPost, "/v1/publish/attacked:1/flat", func() (string, string) {
		return "[1" + strings.Repeat(",1", 28<<10) + "]", k.token
	})
	k.flood(ctx, running, "costly references", http.MethodPost, "/v1/publish/costly:1/t", func() (string, string) { return "1", k.server.key })
}

// drip holds a connection open with a request that does not end, a byte every 20
// seconds, and makes a new one when it is closed.
func (k *siege) drip(ctx context.Context, kind, head string) {
	for ctx.Err() == nil {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", k.server.address())
		if err != nil {
			wait(ctx, time.Second)
			continue
		}
		k.attempted(kind)
		hold, cancel := context.WithCancel(ctx)
		context.AfterFunc(hold, func() { conn.Close() })
		_, _ = io.WriteString(conn, head)
		go func() { // ends with the connection
			_, _ = io.Copy(io.Discard, conn)
			cancel()
		}()
		for hold.Err() == nil {
			wait(hold, 20*time.Second)
			_, _ = io.WriteString(conn, "x")
		}
		cancel()
		wait(ctx, time.Second)
	}
}

// flood sends the same request again and again, over two connections. It must be
// refused, as what it is, but for the one whose cost alone matters.
func (k *siege) flood(ctx context.Context, running *sync.WaitGroup, kind, method, path string, next func() (body, credential string)) {
	for range 2 {
		running.Go(func() {
			transport := new(http.Transport)
			defer transport.CloseIdleConnections()
			c := &http.Client{Transport: transport}
			body, credential := next()
			for ctx.Err() == nil {
				req, err := http.NewRequestWithContext(ctx, method, k.server.url+path, strings.NewReader(body))
				if err != nil {
					k.failed("%s: %v", kind, err)
					return
				}
				req.Header.Set("Authorization", "Bearer "+credential)
				req.Header.Set("Content-Type", "application/json")
				if resp, err := c.Do(req); err == nil {
					if resp.StatusCode < 400 && kind != "costly references" || resp.StatusCode == http.StatusInternalServerError {
						k.failed("%s: %s", kind, resp.Status)
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					k.attempted(kind)
				}
				wait(ctx, 50*time.Millisecond)
			}
		})
	}
}

// costlyDefinition is a small definition whose schema refers to itself in such a
// way that following every reference takes 2^40 steps.
func costlyDefinition() string {
	var defs strings.Builder
	for i := range 40 {
		fmt.Fprintf(&defs, `"d%d":{"allOf":[{"$ref":"#/$defs/d%d"},{"$ref":"#/$defs/d%d"}]},`, i, i+1, i+1)
	}
	return `{"topics":{"t":{"schema":{"$defs":{` + defs.String() + `"d40":{"type":"number"}},"$ref":"#/$defs/d0"}}}}`
}
