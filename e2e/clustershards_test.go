package e2e_test

import (
	"testing"
	"time"
)

// TestCluster_shards spreads channels over three streams: readers of one channel, of
// several and of a pattern come back to other nodes, with ids that have a position for
// each shard, and get everything once.
func TestCluster_shards(t *testing.T) {
	c := startCluster(t, "--nats-shards=3", "--heartbeat=2s", "--replay-messages=100000", "--replay-bytes=256MiB", "--replay-age=1h")
	tr := newTraffic(t, c.url, 10)
	tr.follow(t.Context(), 40)
	eventually(t, tr.opened)
	tr.begin(t.Context(), 8, 10*time.Millisecond)
	for _, n := range c.nodes {
		n.kill()
		sleep(t.Context(), time.Second)
		n.restart(t)
	}
	tr.stop()
	eventually(t, tr.complete)
	tr.readStop()
	tr.running.Wait()
	tr.judge()
	t.Logf("%d messages acknowledged, %d ordinary publishes without an answer", len(tr.acked), tr.failed)
}
