package presence_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker/audience"
	"github.com/sluicehq/sluice/presence"
	"github.com/sluicehq/sluice/schemas"
)

type seat = audience.Seat

func newSeat(n *node, channel schemas.Channel, wake func()) *seat {
	return audience.New(n.Registry, "", nil, []schemas.Channel{channel}, wake)
}

func TestCluster_move(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		defer w.end()
		v := w.nodes[0].follow("c")
		pause(second)
		s := w.nodes[1].stream("ann", "c")
		pause(2 * second)
		v.want("on the second node", 1, "ann")
		for i := range 20 {
			w.nodes[1+i%2].leave(s)
			pause(4 * second)
			s = w.nodes[1+(i+1)%2].stream("ann", "c")
			pause(4 * second)
		}
		v.want("after many moves", 1, "ann")
		if len(v.gone) > 0 || len(v.told()) > 2 {
			t.Errorf("told %+v", v.told())
		}
	})
}

func TestCluster_death(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		defer w.end()
		v := w.nodes[0].follow("c")
		w.nodes[1].stream("stays", "c")
		w.nodes[2].stream("moves", "c")
		w.nodes[2].stream("dies", "c")
		w.nodes[2].stream("", "c")
		pause(3 * second)
		v.want("at the beginning", 4, "dies", "moves", "stays")
		w.kill(w.nodes[2])
		pause(7 * second)
		v.want("a while later", 4, "dies", "moves", "stays")
		w.nodes[1].stream("moves", "c")
		pause(5 * second) // 12 s since: they get no grace on top
		v.want("after the silence", 2, "moves", "stays")
		if v.gone["moves"] > 0 {
			t.Error("who moved was told to have left")
		}
	})
}

func TestCluster_goodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		defer w.end()
		v := w.nodes[0].follow("c")
		w.nodes[1].stream("moves", "c")
		w.nodes[1].stream("ends", "c")
		pause(3 * second)
		w.nodes[1].Close()
		pause(4 * second)
		v.want("within the grace", 2, "ends", "moves")
		w.nodes[0].stream("moves", "c")
		pause(3 * second)
		v.want("after the grace", 1, "moves")
		if v.gone["moves"] > 0 {
			t.Error("who moved was told to have left")
		}
	})
}

func TestCluster_partition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		defer w.end()
		var views []*view
		for i, n := range w.nodes {
			n.stream(fmt.Sprint("r", i), "c")
			views = append(views, n.follow("c"))
		}
		pause(3 * second)
		for _, v := range views {
			v.want("together", 3, "r0", "r1", "r2")
		}
		w.wire.setLoss(func(from, to int) bool { return (from == 0) != (to == 0) })
		pause(15 * second)
		views[0].want("alone", 1, "r0")
		views[1].want("the others", 2, "r1", "r2")
		w.nodes[0].stream("new", "c")
		w.wire.setLoss(nil)
		pause(5 * second)
		for _, v := range views {
			v.want("healed", 4, "new", "r0", "r1", "r2")
		}
	})
}

// TestCluster_asleep stops a process for longer than the silence. When it goes on, what the
// others have sent meanwhile is still on its way to it.
func TestCluster_asleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		defer w.end()
		asleep := w.nodes[0]
		v := asleep.follow("c")
		w.nodes[1].stream("ann", "c")
		goOn := make(chan struct{})
		stop := asleep.WatchOccupancy(func(o presence.Occupancy) {
			if o.Channel == "sleep" {
				<-goOn
			}
		})
		pause(3 * second)
		arrive := asleep.port.hold()
		asleep.stream("", "sleep")
		pause(30 * second)
		close(goOn)
		pause(2 * second)
		arrive()
		pause(3 * second)
		v.want("after the sleep", 1, "ann")
		if len(v.gone) > 0 {
			t.Errorf("%v were told to have left", v.gone)
		}
		stop()
	})
}

// TestCluster_oneWay lets a node not hear another one for so long that it stops to track its
// readers, and begins again: what it has told before does not count any more.
func TestCluster_oneWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		defer w.end()
		v := w.nodes[0].follow("c")
		ann := w.nodes[1].stream("ann", "c")
		pause(3 * second)
		w.wire.setLoss(func(from, to int) bool { return from == 0 && to == 1 })
		pause(12 * second)
		if w.nodes[1].Round() != 0 {
			t.Fatal("it still tracks its readers")
		}
		w.nodes[1].leave(ann)
		w.nodes[1].stream("zoe", "c")
		w.wire.setLoss(nil)
		pause(9 * second)
		v.want("after it hears again", 1, "zoe")
	})
}

// TestCluster_large sends what does not fit into one letter.
func TestCluster_large(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		defer w.end()
		v := w.nodes[0].follow("c")
		for i := range 3000 {
			w.nodes[1].stream(fmt.Sprint(i), schemas.Channel(fmt.Sprint("room:", i%10)))
		}
		w.nodes[1].stream("ann", "c")
		pause(3 * second)
		v.want("the state", 1, "ann")
		if got := w.nodes[0].Stats().Members; got != 3001 {
			t.Errorf("%d members", got)
		}
	})
}

// TestCluster_property lets readers come, go, reload and move at random, loses letters, kills
// nodes and parts them. Whenever it has been calm for long enough, every follower must know
// exactly who is there; a follower is never told that somebody left who was not away.
func TestCluster_property(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { (&chaos{world: newWorld(t, 3), random: rand.New(rand.NewPCG(seed, 1))}).run() })
		})
	}
}

// chaos is one run of the property test.
type chaos struct {
	*world
	random *rand.Rand
	alive  []*node
	open   []opened
	away   map[string]time.Time // since when a subject has no stream
	views  []*view
}

type opened struct {
	seat *seat
	node *node
	sub  string // "" for none
}

const chaosChannel = "room:1"

func (c *chaos) run() {
	defer c.end()
	c.alive = append(c.alive, c.nodes...)
	c.away = make(map[string]time.Time)
	for _, n := range c.alive {
		c.views = append(c.views, n.follow(chaosChannel))
	}
	for range 6 {
		c.storm()
		c.wire.setLoss(nil)
		if len(c.alive) < len(c.nodes) {
			for _, dead := range c.nodes {
				if !c.lives(dead) {
					c.kill(dead)
				}
			}
		}
		pause(17 * second)
		c.check()
	}
}

func (c *chaos) lives(n *node) bool {
	for _, other := range c.alive {
		if n == other {
			return true
		}
	}
	return false
}

// storm does things at random for a while.
func (c *chaos) storm() {
	lossy := c.random.IntN(2) == 0
	if lossy {
		var seed [32]byte
		losses := rand.New(rand.NewChaCha8(seed))
		c.wire.setLoss(func(from, to int) bool {
			return from != to && losses.IntN(4) == 0 || !c.lives(c.nodes[from]) || !c.lives(c.nodes[to])
		})
	}
	for range 60 {
		switch k := c.random.IntN(20); {
		case k < 9 || len(c.open) == 0:
			c.come(c.alive[c.random.IntN(len(c.alive))], []string{"", "a", "b", "c", "d", "e"}[c.random.IntN(6)])
		case k < 14:
			c.depart(c.random.IntN(len(c.open)))
		case k < 19: // reload, on any node
			o := c.depart(c.random.IntN(len(c.open)))
			pause(time.Duration(c.random.Int64N(int64(4 * second))))
			c.come(c.alive[c.random.IntN(len(c.alive))], o.sub)
		case len(c.alive) > 1 && c.random.IntN(4) == 0:
			c.die(1 + c.random.IntN(len(c.alive)-1))
		}
		pause(time.Duration(c.random.Int64N(int64(second / 2))))
	}
}

func (c *chaos) come(n *node, sub string) {
	c.open = append(c.open, opened{n.stream(sub, chaosChannel), n, sub})
}

// depart ends a stream.
func (c *chaos) depart(i int) opened {
	o := c.open[i]
	c.open[i] = c.open[len(c.open)-1]
	c.open = c.open[:len(c.open)-1]
	o.node.leave(o.seat)
	return o
}

// die kills a node, whose streams end with it.
func (c *chaos) die(i int) {
	dead := c.alive[i]
	c.alive = append(c.alive[:i:i], c.alive[i+1:]...)
	c.views = append(c.views[:i:i], c.views[i+1:]...)
	c.kill(dead)
	var rest []opened
	for _, o := range c.open {
		if o.node != dead {
			rest = append(rest, o)
		}
	}
	c.open = rest
}

func (c *chaos) check() {
	c.t.Helper()
	there, count := map[string]bool{}, 0
	for _, o := range c.open {
		if o.sub == "" {
			count++
		} else {
			there[o.sub] = true
		}
	}
	var names []string
	for name := range there {
		names = append(names, name)
	}
	for i, v := range c.views {
		v.want(fmt.Sprint("node ", i), count+len(names), names...)
	}
}
