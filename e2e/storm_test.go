package e2e_test

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	stormPublishers = 32
	stormChannels   = 8
)

// storm is what the publishers and readers of [TestDisk_storm] share.
type storm struct {
	*testing.T
	beacon *beacon
	*server
}

// TestDisk_storm kills the server while many publish to it, 20 times or as often as
// SLUICE_STORMS says, and starts it again. What was acknowledged is there once
// afterwards, durable or not, and every reader has had everything once and in order.
// It runs beside no other test: it takes the whole machine.
func TestDisk_storm(t *testing.T) {
	storms := 20
	if text := os.Getenv("SLUICE_STORMS"); text != "" {
		var err error
		if storms, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	k := &storm{T: t, beacon: newBeacon(), server: onDisk(t, dir, "--log-level=error")}
	k.beacon.move(k.url)
	var reading sync.WaitGroup
	defer reading.Wait()
	until, stopReading := context.WithCancel(t.Context())
	defer stopReading()
	all := followers()
	for _, f := range all {
		reading.Go(func() { f.follow(until, t, k.beacon) })
		<-f.opened
	}

	deeds := make([][]deed, stormPublishers)
	var publishing sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	for i := range deeds {
		publishing.Go(func() { deeds[i] = publishAll(ctx, t, k.beacon, "storm:", strconv.Itoa(i)) })
	}
	for n := range storms {
		k.strike(dir, n)
	}
	wait(ctx, 100*time.Millisecond)
	stop()
	publishing.Wait()
	for i := range stormChannels {
		k.publish(t, channelOf("storm:", i), "t", `"end"`)
	}
	for _, f := range all {
		select {
		case <-f.done:
		case <-within(t, patience).Done():
			t.Errorf("the reader of %s did not get to the end", f.query)
		}
	}
	stopReading()
	reading.Wait()
	held := k.check(slices.Concat(deeds...))
	for _, f := range all {
		f.check(t, held)
	}
}

// strike lets it rage for a while, kills the server and starts it again: now and
// then soon, or once more before it has begun to serve.
func (k *storm) strike(dir string, n int) {
	k.Helper()
	most := 800 * time.Millisecond
	if n%4 == 3 {
		most /= 20
	}
	wait(k.Context(), rand.N(most))
	k.beacon.move("")
	k.kill()
	if n%3 == 2 {
		early := launchOnDisk(k.T, dir, "--log-level=error")
		wait(k.Context(), rand.N(60*time.Millisecond))
		early.kill()
	}
	flags := [][]string{{"--log-level=error"}, {"--log-level=error", "--portable"}}[n%2]
	k.server = onDisk(k.T, dir, flags...)
	k.beacon.move(k.url)
}

// check holds what publishers know against what is kept, which it returns by
// channel.
func (k *storm) check(deeds []deed) map[string][]kept {
	k.Helper()
	held := make(map[string][]kept)
	for i := range stormChannels {
		name := channelOf("storm:", i)
		held[name] = k.history(k, name)
		last := uint64(0)
		for _, m := range held[name] {
			if seq := seqOf(k, m.ID); seq <= last {
				k.Fatalf("%s: %d comes after %d", name, seq, last)
			} else {
				last = seq
			}
		}
	}
	checkDeeds(k, deeds, held)
	for _, d := range deeds {
		if d.key != "" && rand.IntN(100) == 0 {
			a := k.ask(k, "POST", "/v1/publish/"+d.channel+"/t", `"again"`, d.key)
			if a.status != 200 || a.ID != d.id || !a.Duplicate {
				k.Errorf("the publish %q once more: %d, id %s, want that of the first, %s", d.data, a.status, a.ID, d.id)
			}
		}
	}
	return held
}

// follower is a reader that comes back with its last id whenever the server does.
type follower struct {
	query    string
	channels []string
	opened   chan struct{} // closed when its first stream is open
	done     chan struct{} // closed when it has the end of all its channels

	last  string
	ends  int
	calls int // to come again
	opens []string
	got   []kept
}

// followers are readers of one channel, of several and of a pattern.
func followers() (all []*follower) {
	add := func(query string, channels ...int) {
		f := &follower{query: query, opened: make(chan struct{}), done: make(chan struct{})}
		for _, i := range channels {
			f.channels = append(f.channels, channelOf("storm:", i))
		}
		all = append(all, f)
	}
	for range 2 {
		add("channel=storm:0", 0)
		add("channel=storm:1&channel=storm:2&channel=storm:3", 1, 2, 3)
		add("channel=storm:*", 0, 1, 2, 3, 4, 5, 6, 7)
	}
	return all
}

// follow reads until ctx ends.
func (f *follower) follow(ctx context.Context, t testing.TB, b *beacon) {
	c := newClient(t)
	defer c.CloseIdleConnections()
	for {
		url := b.find(ctx)
		if url == "" {
			return
		}
		resp, err := c.Do(subscription(ctx, t, url+"/v1/subscribe?"+f.query, testKey, f.last))
		if err != nil {
			continue // it was killed
		}
		drainEvents(ctx, t, resp.Body, func(e event) { f.take(t, e) })
		resp.Body.Close()
		wait(ctx, pause)
	}
}

// take notes a message. Beside them nothing may come but $open, where it was left,
// and a call to come again: a stream of a pattern is ended when messages that it
// needs are on the disk alone.
func (f *follower) take(t testing.TB, e event) {
	switch {
	case e.Type == "$close" && strings.Contains(e.Data, `"reconnect":true`):
		f.calls++
		return // it has no position
	case e.Type == "$open" && f.last == "":
		close(f.opened)
	case e.Type == "$open" && e.ID != f.last, e.Type[0] == '$' && e.Type != "$open":
		t.Errorf("the reader of %s was at %q and got %+v", f.query, f.last, e)
	}
	if e.Type == "$open" {
		f.opens = append(f.opens, e.ID)
	}
	f.last = e.ID
	if e.Type[0] == '$' {
		return
	}
	var m kept
	if err := json.Unmarshal([]byte(e.Data), &m); err != nil || m.ID != e.ID {
		t.Errorf("%+v: %v", e, err)
	}
	f.got = append(f.got, m)
	if string(m.Data) == `"end"` {
		if f.ends++; f.ends == len(f.channels) {
			close(f.done)
		}
	}
}

// check wants the reader to have had what is kept of its channels, in order.
func (f *follower) check(t testing.TB, held map[string][]kept) {
	t.Helper()
	t.Logf("the reader of %s got %d messages, and was asked to come again %d times", f.query, len(f.got), f.calls)
	var want []kept
	for _, name := range f.channels {
		want = append(want, held[name]...)
	}
	slices.SortFunc(want, func(a, b kept) int { return int(seqOf(t, a.ID)) - int(seqOf(t, b.ID)) })
	for i := range min(len(want), len(f.got)) {
		if got, want := f.got[i], want[i]; got.ID != want.ID || got.Channel != want.Channel || string(got.Data) != string(want.Data) {
			t.Errorf("message %d of the reader of %s is %s %.20s, want %s %.20s in %s; its streams began at %v", i, f.query, got.ID, got.Data, want.ID, want.Data, want.Channel, f.opens)
			return
		}
	}
	if len(f.got) != len(want) {
		t.Errorf("the reader of %s got %d messages, want %d", f.query, len(f.got), len(want))
	}
}
