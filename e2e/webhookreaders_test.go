package e2e_test

import (
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sluicehq/sluice/internal/natstest"
)

// holds waits until a receiver has what a test wants it to have, of each channel in order.
func (r *hookReceiver) holds(t testing.TB, want ...string) {
	t.Helper()
	sorted := slices.Sorted(slices.Values(want))
	var got []string
	eventually(t, func() bool {
		whats, _ := r.got()
		got = nil
		for _, what := range whats {
			got = append(got, strings.TrimSpace(what))
		}
		return len(got) >= len(want)
	}, func() string { return strings.Join(got, ", ") })
	if _, again := r.got(); again > 0 {
		t.Logf("%d events came again", again)
	}
	if all := slices.Sorted(slices.Values(got)); !slices.Equal(all, sorted) {
		t.Fatalf("got  %q\nwant %q", got, want)
	}
}

// TestWebhooks_readers follows the readers of channels over a restart: who comes back in time has
// not been away, who does not has left, and nothing is told twice.
func TestWebhooks_readers(t *testing.T) {
	for name, end := range ends() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, r := t.TempDir(), receiveHooks(t)
			args := r.args(t)
			s := onDisk(t, dir, args...)
			s.subscribe(t, "channel=room:1", "")
			s.subscribe(t, "channel=room:1", "")
			gone, _ := s.subscribe(t, "channel=room:2", "")
			s.subscribe(t, "channel=room:3", "")
			s.subscribe(t, "channel=room:*", "") // is in no room
			want := []string{"channel.occupied room:1", "channel.occupied room:2", "channel.occupied room:3"}
			r.holds(t, want...)
			gone.close()
			want = append(want, "channel.vacated room:2")
			r.holds(t, want...)
			end(t, s)
			s = onDisk(t, dir, args...)
			s.subscribe(t, "channel=room:1", "")
			want = append(want, "channel.vacated room:3")
			r.holds(t, want...)
			s.endRun(t, "room:1", "r1") // what would have been told of room:1 comes before it
			r.holds(t, append(want, "run.completed room:1 r1")...)
		})
	}
}

// TestWebhooks_readersOfNodes has readers on two nodes, and takes away the one that sends.
func TestWebhooks_readersOfNodes(t *testing.T) {
	t.Parallel()
	r, nats := receiveHooks(t), natstest.Start(t, "")
	args := append(r.args(t), "--api-keys="+testKey, "--nats="+nats.URL(), "--drain-timeout=1s")
	nodes := []*server{serve(t, nil, "sluice", args...), serve(t, nil, "sluice", args...)}
	both, _ := nodes[0].subscribe(t, "channel=room:1", "")
	nodes[1].subscribe(t, "channel=room:1", "")
	nodes[0].subscribe(t, "channel=room:2", "")
	nodes[1].subscribe(t, "channel=room:3", "")
	want := []string{"channel.occupied room:1", "channel.occupied room:2", "channel.occupied room:3"}
	r.holds(t, want...)
	both.close() // the other node still has one
	sender := slices.IndexFunc(nodes, func(n *server) bool { return n.sendsHooks(t) })
	if sender < 0 {
		t.Fatal("no node sends")
	}
	left := nodes[1-sender]
	left.subscribe(t, "channel=room:1", "")
	nodes[sender].kill()
	want = append(want, []string{"channel.vacated room:2", "channel.vacated room:3"}[sender])
	r.holds(t, want...)
	next := serve(t, nil, "sluice", args...)
	next.subscribe(t, "channel=room:1", "")
	left.signal(t, syscall.SIGTERM)
	left.exitCode(t)
	want = append(want, []string{"channel.vacated room:3", "channel.vacated room:2"}[sender])
	r.holds(t, want...)
	next.endRun(t, "room:1", "r1")
	r.holds(t, append(want, "run.completed room:1 r1")...)
}
