package disk_test

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sluicehq/sluice/broker/engine/disk"
	"github.com/sluicehq/sluice/broker/engine/enginetest"
	"github.com/sluicehq/sluice/schemas"
)

func boxed(n *node) enginetest.OutboxNode { return enginetest.OutboxNode{Store: n, Outbox: n.Outbox()} }

func TestOutbox_contract(t *testing.T) {
	enginetest.Outbox(t, func(t *testing.T) ([]enginetest.OutboxNode, func() enginetest.OutboxNode) {
		opts := inMemory()
		opts.Outbox = true
		n := open(t, "d", opts)
		return []enginetest.OutboxNode{boxed(n)}, func() enginetest.OutboxNode {
			n.close()
			return boxed(open(t, "d", opts))
		}
	})
}

// The end of a run that was answered outlives a power failure, and so does its event.
func TestOutbox_powerFailure(t *testing.T) {
	p := &power{fs: vfs.NewCrashableMem()}
	n := open(t, "d", p.opts(disk.Options{SyncEvery: time.Hour, Outbox: true}))
	change := &schemas.RunChange{Status: schemas.RunCompleted, RunID: "r"}
	e := entry("a", "", "")
	e.Topic, e.Kind, e.Data, e.RunID, e.Run = schemas.TopicRun, schemas.KindRun, change.Encode(), change.RunID, change
	r := n.append(e)
	n = open(t, "d", p.fail(0, nil).opts(disk.Options{Outbox: true}))
	events, err := n.Outbox().Read(t.Context(), 0, 10)
	if err != nil || len(events) != 1 || events[0].Message != r.ID || events[0].ID.Seq != r.ID.Seq {
		t.Errorf("got %+v, %v", events, err)
	}
}

// Without webhooks, nobody takes events out, so there are none.
func TestOutbox_off(t *testing.T) {
	n := open(t, "d", inMemory())
	change := &schemas.RunChange{Status: schemas.RunCompleted}
	e := entry("a", "", "")
	e.Topic, e.Kind, e.Data, e.Run = schemas.TopicRun, schemas.KindRun, change.Encode(), change
	n.append(e)
	if events, err := n.Outbox().Read(t.Context(), 0, 10); err != nil || len(events) > 0 {
		t.Errorf("got %+v, %v", events, err)
	}
}
