package nats_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/sluicehq/sluice/broker/engine/nats"
)

// Open reports a server that is too old at once. No such server can be run here: this one
// only greets.
func TestOpen_oldServer(t *testing.T) {
	for version, unsuitable := range map[string]bool{"2.11.9": true, "1.4.1": true, "next": false} {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var greeting sync.WaitGroup
		greeting.Go(func() { greet(l, version) }) // until the listener or the client is gone
		e, err := nats.Open(t.Context(), nats.Options{URLs: []string{"nats://" + l.Addr().String()}})
		if err == nil {
			t.Fatal(version, "is taken", e.Close())
		}
		if errors.Is(err, nats.ErrUnsuitable) != unsuitable || !strings.Contains(err.Error(), version) {
			t.Errorf("%s: %v", version, err)
		}
		_ = l.Close()
		greeting.Wait()
	}
}

// greet greets one client and answers its pings.
func greet(l net.Listener, version string) {
	conn, err := l.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	fmt.Fprintf(conn, "INFO {\"server_id\":\"old\",\"version\":%q,\"proto\":1,\"headers\":true,\"max_payload\":1048576}\r\n", version)
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "PING") {
			fmt.Fprint(conn, "PONG\r\n")
		}
	}
}
