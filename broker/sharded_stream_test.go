package broker_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

func TestBroker_sharded_severalShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShards()
		b, _ := s.on(t, broker.Options{Heartbeat: time.Minute})
		one, two, three := within("a", 1, 0), within("a", 2, 0), within("a", 3, 0)
		named, pattern := subscribe(t, b, asking(one, three)), subscribe(t, b, asking("a:*"))
		lines := asking(one, three)
		lines.Format = ring.NDJSON
		ndjson := subscribe(t, b, lines)
		wantTold(t, "named opens", named.now(), "$open@v-0.0.0[false]")
		wantTold(t, "pattern opens", pattern.now(), "$open@v-0.0.0[false]")
		wantTold(t, "lines open", ndjson.now(), "$open@v-0.0.0[false]")
		if !named.Merges() || !pattern.Merges() {
			t.Error("not over several shards")
		}
		for i, name := range []string{three, one, two, three} {
			publish(t, b, name, "x", fmt.Sprint(i))
			words := []string{"x@v-0.0.1[3-1]", "x@v-1.0.1[1-1]", "", "x@v-1.0.2[3-2]"}
			wantTold(t, "named", named.now(), words[i])
			wantTold(t, "pattern", pattern.now(), []string{"x@v-0.0.1[3-1]", "x@v-1.0.1[1-1]", "x@v-1.1.1[2-1]", "x@v-1.1.2[3-2]"}[i])
			wantTold(t, "lines", ndjson.now(), []string{"x@3-1[3-1] $position@v-0.0.1", "x@1-1[1-1] $position@v-1.0.1", "", "x@3-2[3-2] $position@v-1.0.2"}[i])
		}
		info := named.Info()
		if at := info.Position.String(); at != "k.v-1.0.2" || !slices.Equal(info.Channels, []schemas.Pattern{schemas.Pattern(one), schemas.Pattern(three)}) {
			t.Errorf("listed as %+v", info)
		}
		if n := named.Messages(); n != 3 {
			t.Errorf("%d messages", n)
		}
		named.during(2 * time.Minute)
		if named.beats < 2 || named.beats > 3 {
			t.Errorf("%d heartbeats in two minutes", named.beats)
		}
	})
}

// TestBroker_sharded_position: a reader that filters topics is told its position in all
// shards.
func TestBroker_sharded_position(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newShards().on(t, broker.Options{Heartbeat: 10 * time.Second})
		one, two := within("a", 1, 0), within("a", 2, 0)
		r := subscribe(t, b, asking(one+"/y", two+"/y"))
		r.now()
		publish(t, b, one, "x", "1")
		publish(t, b, two, "x", "1")
		publish(t, b, two, "x", "1")
		wantTold(t, "left out", r.during(15*time.Second), "$position@v-1.2.0")
		r.during(15 * time.Second)
		if r.beats == 0 {
			t.Error("no heartbeat once it knows")
		}
		publish(t, b, one, "x", "1")
		r.now()
		publish(t, b, two, "y", "1")
		wantTold(t, "an id tells it too", r.now(), "y@v-2.3.0[2-3]")
		wantTold(t, "nothing more to tell", r.during(15*time.Second), "")
	})
}

// TestBroker_sharded_resume: every form of id is understood.
func TestBroker_sharded_resume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShards()
		b, _ := s.on(t, broker.Options{})
		one, two := within("a", 1, 0), within("a", 2, 0)
		for i := range 4 {
			publish(t, b, []string{one, two}[i%2], "x", fmt.Sprint(i))
		}
		publish(t, b, within("a", 3, 0), "x", "read by nobody")
		long := "k.v-" + strings.TrimSuffix(strings.Repeat("18446744073709551615.", 60), ".")
		b, _ = s.on(t, broker.Options{}) // nothing is in memory
		for _, tt := range []struct {
			name, id, want string
		}{
			{"own", "k.v-1.1.0", "$open@v-1.1.0[true] x@v-2.1.0[1-2] x@v-2.2.0[2-2]"},
			{"own, all known", "k.v-2.2.1", "$open@v-2.2.1[true]"},
			{"of one shard", "k.1-1", "$open@v-1.0.1[false] $gap@v-1.0.1[TWO restarted>1-1<v-1.1.1] x@v-2.0.1[1-2] x@v-2.1.1[2-1] x@v-2.2.1[2-2]"},
			{"of a shard that is not read", "k.3-1", "$open@v-0.0.1[false] $gap@v-0.0.1[ONE restarted>3-1<v-1.0.1] $gap@v-0.0.1[TWO restarted>3-1<v-0.1.1] x@v-1.0.1[1-1] x@v-2.0.1[1-2] x@v-2.1.1[2-1] x@v-2.2.1[2-2]"},
			{"one of them unknown", "k.v-9.2.0", "$open@v-0.2.0[false] $gap@v-0.2.0[ONE restarted>v-9.2.0<v-1.2.0] x@v-1.2.0[1-1] x@v-2.2.0[1-2]"},
			{"of fewer shards", "k.v-1.1", "$open@v-0.0.1[false] $gap@v-0.0.1[ONE restarted>v-1.1<v-1.0.1] $gap@v-0.0.1[TWO restarted>v-1.1<v-0.1.1] x@v-1.0.1[1-1] x@v-2.0.1[1-2] x@v-2.1.1[2-1] x@v-2.2.1[2-2]"},
			{"of a log that is not sharded", "k-1", "$open@v-0.0.1[false] $gap@v-0.0.1[ONE restarted>k-1<v-1.0.1] $gap@v-0.0.1[TWO restarted>k-1<v-0.1.1] x@v-1.0.1[1-1] x@v-2.0.1[1-2] x@v-2.1.1[2-1] x@v-2.2.1[2-2]"},
			{"of another life", "z.v-1.1.1", "$open@v-0.0.1[false] $gap@v-0.0.1[ONE restarted>z.v-1.1.1<v-1.0.1] $gap@v-0.0.1[TWO restarted>z.v-1.1.1<v-0.1.1] x@v-1.0.1[1-1] x@v-2.0.1[1-2] x@v-2.1.1[2-1] x@v-2.2.1[2-2]"},
			{"given back whole", long, "$open@v-0.0.1[false] $gap@v-0.0.1[ONE restarted>" + long[2:] + "<v-1.0.1] $gap@v-0.0.1[TWO restarted>" + long[2:] + "<v-0.1.1] x@v-1.0.1[1-1] x@v-2.0.1[1-2] x@v-2.1.1[2-1] x@v-2.2.1[2-2]"},
		} {
			r := subscribe(t, b, after(asking(one, two), tt.id))
			got := r.now()
			// It does not matter which shard is read first.
			slices.SortStableFunc(got, func(a, b event) int { return strings.Compare(shardIn(a), shardIn(b)) })
			renumber(got)
			wantTold(t, tt.name, got, strings.NewReplacer("ONE", one, "TWO", two).Replace(tt.want))
			r.Close()
		}
		r := subscribe(t, b, replaying(asking(one, two), "1"))
		if got := told(r.now()); !strings.HasPrefix(got, "$open@v-1.1.1[false] ") || !strings.Contains(got, "[1-2]") || !strings.Contains(got, "[2-2]") || strings.Count(got, "x@") != 2 {
			t.Errorf("replay: %s", got)
		}
	})
}

// shardIn returns the shard of the message in e, "" for other events.
func shardIn(e event) string {
	if e.name[0] == '$' {
		return ""
	}
	var m schemas.Message
	_ = json.Unmarshal([]byte(e.data), &m)
	return fmt.Sprint(m.ID.Shard)
}

// renumber gives messages the ids that they would have if they had been published in
// their present order.
func renumber(events []event) {
	var at schemas.Position
	for i, e := range events {
		var m schemas.Message
		switch p, err := schemas.ParsePosition(e.id); {
		case err != nil:
		case e.name[0] == '$':
			at = p
		default:
			_ = json.Unmarshal([]byte(e.data), &m)
			at.Seqs = slices.Clone(at.Seqs)
			at.Seqs[m.ID.Shard-1] = m.ID.Seq
			events[i].id = at.String()
		}
	}
}

func TestBroker_sharded_runStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newShards().on(t, broker.Options{})
		one, two := within("a", 1, 0), within("a", 2, 0)
		setRun(t, b, one, schemas.RunChange{Status: schemas.RunRunning})
		setRun(t, b, two, schemas.RunChange{Status: schemas.RunFailed})
		wantTold(t, "named", subscribe(t, b, asking(one, two)).now(), "$open@v-1.1.0[false] $run@v-1.1.0[1-1] $run@v-1.1.0[2-1]")
		wantTold(t, "replay", subscribe(t, b, replaying(asking("a:*"), "all")).now(), "$open@v-0.0.0[false] $run@v-0.0.0[1-1] $run@v-0.0.0[2-1]")
		wantTold(t, "resumed", subscribe(t, b, after(asking(one, two), "k.v-1.0.0")).now(), "$open@v-1.0.0[true] $run@v-1.1.0[2-1]")
	})
}

// TestBroker_sharded_longPreamble: a preamble that takes several batches is sent
// whole.
func TestBroker_sharded_longPreamble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newShards().on(t, broker.Options{})
		for i := range 3500 { // more than a batch takes, in each shard
			setRun(t, b, fmt.Sprint("a:", i), schemas.RunChange{Status: schemas.RunRunning})
		}
		r := subscribe(t, b, replaying(asking("a:*/x"), "all"))
		events := r.now()
		distinct := make(map[string]bool)
		for _, e := range events[1:] {
			distinct[e.data] = true
		}
		if len(events) != 3501 || len(distinct) != 3500 || strings.Count(told(events), "$run@v-0.0.0[") != 3500 {
			t.Errorf("%d events, %d different", len(events), len(distinct))
		}
	})
}

// TestBroker_sharded_outOfOrder: a message that a node missed reaches a stream over several
// shards under its current position.
func TestBroker_sharded_outOfOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, nodes := newShards().on(t, broker.Options{})
		one, two, other := within("a", 1, 0), within("a", 2, 0), within("a", 2, 1)
		r := subscribe(t, b, asking(one, two, other))
		r.now()
		publish(t, b, one, "x", "1")
		wantTold(t, "first", r.now(), "x@v-1.0.0[1-1]")
		nodes[1].deafen(schemas.Channel(two))
		publish(t, b, two, "x", "1")
		publish(t, b, other, "x", "2")
		wantTold(t, "before", r.now(), "x@v-1.2.0[2-2]")
		nodes[1].repair()
		wantTold(t, "after", r.now(), "x@v-1.2.0[2-1]")
	})
}

// TestBroker_sharded_gap: a loss is reported in its shard, and the position in the
// other shards stays.
func TestBroker_sharded_gap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShards()
		b, nodes := s.on(t, broker.Options{})
		one, two, gone := within("a", 1, 0), within("a", 2, 0), within("gone", 2, 0)
		publish(t, b, one, "x", "1")
		for i := range 5 {
			publish(t, b, two, "x", fmt.Sprint(i))
		}
		nodes[1].mu.Lock()
		list := nodes[1].messages[schemas.Channel(two)]
		nodes[1].messages[schemas.Channel(two)] = list[3:]
		nodes[1].lost = map[schemas.Channel]uint64{schemas.Channel(two): 3, schemas.Channel(gone): 3}
		nodes[1].mu.Unlock()
		r := subscribe(t, b, after(asking(one, two), "k.v-1.1.0"))
		wantTold(t, "in part", r.now(), "$open@v-1.1.0[true] $gap@v-1.3.0["+two+" expired>v-1.1.0<v-1.4.0] x@v-1.4.0[2-4] x@v-1.5.0[2-5]")
		r = subscribe(t, b, after(asking(one, gone), "k.v-1.1.0"))
		wantTold(t, "all", r.now(), "$open@v-1.1.0[true] $gap@v-1.5.0["+gone+" expired>v-1.1.0]")
		if gaps := b.Stats().Gaps; gaps["expired"] != 2 {
			t.Errorf("gaps counted: %v", gaps)
		}
	})
}

func TestCloseReason_Refusal_positions(t *testing.T) {
	for _, id := range []string{"k-1", "k.2-1", "k.v-1.2.3"} {
		if body := string(broker.Draining().Refusal(id)); !strings.Contains(body, "id: "+id+"\n") {
			t.Errorf("%s: %s", id, body)
		}
	}
	if body := string(broker.Draining().Refusal("k.v-1")); strings.Contains(body, "id: ") {
		t.Error(body)
	}
}
