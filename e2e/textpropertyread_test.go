package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// textReader reads some topics of some channels of a round, over many connections.
type textReader struct {
	*textRound
	random *rand.Rand
	http   *http.Client
	plans  map[string]*channelPlan
	query  url.Values
	topics []string // empty: all
	replay string

	last  string               // the id that came last
	known []string             // all ids, in the order in which they came first
	views map[string]*textView // by id, what was put together when it came
	story []string             // what has happened
}

func newTextReader(r *textRound) *textReader {
	f := &textReader{textRound: r, random: r.fork(), plans: make(map[string]*channelPlan), query: make(url.Values), views: make(map[string]*textView)}
	plans := slices.Clone(r.plans)
	f.random.Shuffle(len(plans), func(i, j int) { plans[i], plans[j] = plans[j], plans[i] })
	n := len(plans)
	if f.random.IntN(4) > 0 {
		plans = plans[:1+f.random.IntN(2)]
	}
	for _, p := range plans {
		f.plans[p.name] = p
		f.query.Add("channel", p.name)
	}
	if len(plans) == n && f.random.IntN(2) == 0 {
		f.query.Set("channel", plans[0].name[:strings.LastIndex(plans[0].name, ":")]+":*")
	}
	f.topics = [][]string{nil, {"a", "b", "last"}, {"a", "last"}, {"parts", "last"}}[f.random.IntN(4)]
	for _, topic := range f.topics {
		f.query.Add("topic", topic)
	}
	f.replay = []string{"none", "latest", "all", "all", strconv.Itoa(1 + f.random.IntN(10))}[f.random.IntN(5)]
	f.query.Set("replay", f.replay)
	f.http = newClient(r)
	if f.random.IntN(2) == 0 {
		f.http.Transport.(*http.Transport).DialContext = dialSmall
	}
	return f
}

// dialSmall makes a connection that takes little while its reader stalls.
func dialSmall(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err == nil {
		err = conn.(*net.TCPConn).SetReadBuffer(16 << 10)
	}
	return conn, err
}

// wants reports whether the reader asks for a topic.
func (f *textReader) wants(topic string) bool {
	return len(f.topics) == 0 || slices.Contains(f.topics, topic)
}

// read reads until it has everything, and checks that. Then it resumes at 60 of the ids that
// it has seen, with SLUICE_SOAK at all of them, and checks what it has from there.
func (f *textReader) read(ctx context.Context) {
	for !f.isCalm() && !f.Failed() {
		stay, leave := context.WithTimeout(ctx, time.Duration(5+f.random.IntN(500))*time.Millisecond)
		f.visit(stay, f.choose())
		leave()
		if f.random.IntN(4) == 0 {
			wait(ctx, time.Duration(f.random.IntN(100))*time.Millisecond)
		}
	}
	f.http = newClient(f) // no longer a slow one
	f.finish(ctx, f.last)
	again := slices.Clone(f.known)
	f.random.Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
	if os.Getenv("SLUICE_SOAK") == "" {
		again = again[:min(len(again), 60)]
	}
	for _, id := range again {
		f.finish(ctx, id)
	}
}

func (f *textReader) isCalm() bool {
	select {
	case <-f.calm:
		return true
	default:
		return false
	}
}

// choose returns an id to resume at.
func (f *textReader) choose() string {
	if f.random.IntN(3) == 0 && len(f.known) > 0 {
		return f.known[f.random.IntN(len(f.known))]
	}
	return f.last
}

// finish reads from an id to the end, and checks what has been put together then.
func (f *textReader) finish(ctx context.Context, id string) {
	for !f.Failed() {
		f.visit(ctx, id)
		if id = f.last; ctx.Err() != nil {
			f.fault("did not come to an end")
			return
		}
		if v := f.views[id]; v != nil && len(v.ended) == len(f.plans) {
			for _, fault := range v.missing(f) {
				f.fault("%s", fault)
			}
			return
		}
	}
}

// fault reports what is wrong, and how it came about.
func (f *textReader) fault(format string, args ...any) {
	f.fail("the reader of %v %s\n%s", f.query, fmt.Sprintf(format, args...), strings.Join(f.story[max(0, len(f.story)-60):], "\n"))
}

func (f *textReader) tell(format string, args ...any) {
	f.story = append(f.story, fmt.Sprintf("  "+format, args...))
}

// visit reads from an id on until ctx ends, the connection is lost, or there is all.
func (f *textReader) visit(ctx context.Context, id string) {
	base := f.find(ctx, f.random)
	if base == "" {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req := subscription(ctx, f, base+"/v1/subscribe?"+f.query.Encode(), testKey, id)
	resp, err := f.http.Do(req)
	if err != nil {
		f.tell("%s: %v", base, err)
		wait(ctx, 10*time.Millisecond)
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		f.fault("is answered %s", resp.Status)
		return
	}
	f.tell("at %s from %q", base, id)
	view := newTextView()
	if known := f.views[id]; known != nil {
		view = known.resumed(id)
		f.seen.resumed.Add(1)
	}
	for events := newDecoder(resp.Body); len(view.ended) < len(f.plans); {
		e, err := events.block()
		if err != nil {
			f.tell("%v", err)
			return
		}
		if e.Type == "$close" {
			f.tell("%s", e.Data)
			wait(ctx, 10*time.Millisecond)
			return
		}
		fault := f.take(view, e)
		if e.Type == "$open" && id != "" && (e.ID != id || !strings.Contains(e.Data, `"resumed":true`)) {
			fault = "does not resume at " + id
		}
		if fault != "" {
			f.tell("%+v", e)
			f.fault("%s; it was told of these gaps: %+v", fault, view.gaps)
			return
		}
		if f.random.IntN(30) == 0 && !f.isCalm() {
			wait(ctx, time.Duration(f.random.IntN(100))*time.Millisecond)
		}
	}
}

// take takes an event into account. It returns what is wrong with it.
func (f *textReader) take(view *textView, e event) (fault string) {
	switch e.Type {
	case "$open":
		f.tell("$open %s", e.ID)
		view.opened(f, e.ID)
	case "$live":
		view.settle(e.ID)
	case "$position":
	case "$gap":
		f.tell("$gap %s", e.Data)
		f.seen.gaps.Add(1)
		fault = view.gap(f, e.Data)
	default:
		f.seen.received.Add(1)
		var m heardMessage
		if err := json.Unmarshal([]byte(e.Data), &m); err != nil {
			return err.Error()
		}
		f.tell("%s %s", e.ID, m)
		fault = view.message(f, &m)
	}
	if _, known := f.views[e.ID]; !known {
		f.known = append(f.known, e.ID)
	}
	f.last, f.views[e.ID] = e.ID, view.clone()
	return fault
}

// clone returns a copy that can go on by itself.
func (v *textView) clone() *textView {
	c := *v
	c.newest, c.texts, c.parts = maps.Clone(v.newest), maps.Clone(v.texts), maps.Clone(v.parts)
	c.noise, c.ended = maps.Clone(v.noise), maps.Clone(v.ended)
	c.gaps, c.skipped = slices.Clip(v.gaps), slices.Clip(v.skipped)
	return &c
}
