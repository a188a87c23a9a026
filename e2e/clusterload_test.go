package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// traffic is publishers and readers of a cluster, who come again until they have what
// they want.
type traffic struct {
	t        testing.TB
	url      string
	http     *http.Client
	channels []string

	mu     sync.Mutex
	acked  map[string]string // guarded by mu; id to channel
	marks  map[string]string // guarded by mu; text of what was acknowledged to its id
	keyed  map[string]bool   // guarded by mu; texts that were published under a key
	failed int               // guarded by mu; ordinary publishes without a receipt

	readers  []*hopper
	running  sync.WaitGroup
	stop     context.CancelFunc
	readStop context.CancelFunc
}

func newTraffic(t testing.TB, url string, channels int) *traffic {
	tr := &traffic{
		t: t, url: url, http: newClient(t),
		acked: make(map[string]string), marks: make(map[string]string), keyed: make(map[string]bool),
	}
	for i := range channels {
		tr.channels = append(tr.channels, fmt.Sprint("load:", i))
	}
	return tr
}

// publish publishes text until it is acknowledged, if it has a key; else once. It
// reports whether it was acknowledged.
func (tr *traffic) publish(ctx context.Context, channel, text string, durable bool) bool {
	for ctx.Err() == nil {
		id, err := tr.post(ctx, channel, text, durable)
		if err == nil {
			tr.mu.Lock()
			tr.acked[id], tr.marks[text] = channel, id
			if durable {
				tr.keyed[text] = true
			}
			tr.mu.Unlock()
			return true
		}
		if !durable {
			tr.mu.Lock()
			tr.failed++
			tr.mu.Unlock()
			return false
		}
		sleep(ctx, 50*time.Millisecond)
	}
	return false
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// post sends one publish and returns the id of its receipt.
func (tr *traffic) post(ctx context.Context, channel, text string, durable bool) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, tr.url+"/v1/publish/"+channel+"/status", strings.NewReader(`"`+text+`"`))
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+testKey)
	req.Header.Set("Content-Type", "application/json")
	if durable {
		req.Header.Set("Idempotency-Key", text)
	}
	resp, err := tr.http.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode/100 != 2 {
		return "", fmt.Errorf("%d: %s", resp.StatusCode, body)
	}
	var receipt struct{ ID string }
	return receipt.ID, json.Unmarshal(body, &receipt)
}

// begin lets publishers and readers run until end.
func (tr *traffic) begin(ctx context.Context, publishers int, pause time.Duration) {
	ctx, tr.stop = context.WithCancel(ctx)
	for p := range publishers {
		tr.running.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				tr.publish(ctx, tr.channels[rand.IntN(len(tr.channels))], fmt.Sprintf("p%d-%d", p, n), n%2 == 0)
				sleep(ctx, pause)
			}
		})
	}
}

// follow starts readers: of one channel, of several, and of all by a pattern.
func (tr *traffic) follow(ctx context.Context, readers int) {
	ctx, tr.readStop = context.WithCancel(ctx)
	for i := range readers {
		f := &hopper{traffic: tr, seen: make(map[string]bool), order: make(map[string][]string)}
		switch i % 10 {
		case 0:
			f.wants = []string{"load:*"}
		case 1, 2:
			f.wants = []string{tr.channels[i%len(tr.channels)], tr.channels[(i+1)%len(tr.channels)], tr.channels[(i+3)%len(tr.channels)]}
		default:
			f.wants = []string{tr.channels[i%len(tr.channels)]}
		}
		tr.readers = append(tr.readers, f)
		tr.running.Go(func() {
			for ctx.Err() == nil {
				f.once(ctx)
				sleep(ctx, time.Duration(100+rand.IntN(400))*time.Millisecond)
			}
		})
	}
}

// opened reports whether all readers have been told where they are.
func (tr *traffic) opened() bool {
	return !slices.ContainsFunc(tr.readers, func(f *hopper) bool { return !f.open.Load() })
}

// reached reports whether all readers of the channel have the text.
func (tr *traffic) reached(channel, text string) bool {
	return !slices.ContainsFunc(tr.readers, func(f *hopper) bool { return f.reads(channel) && !f.has(text) })
}

// behind describes the readers of the channel that do not have the text, "" if all have it.
func (tr *traffic) behind(channel, text string) string {
	const most = 3
	var b strings.Builder
	found := 0
	for i, f := range tr.readers {
		if !f.reads(channel) || f.has(text) {
			continue
		}
		if found++; found <= most {
			fmt.Fprintf(&b, "\n  reader %d of %v %s", i, f.wants, f)
		}
	}
	if found == 0 {
		return ""
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return fmt.Sprintf("\n%d readers lack %s, which is %s:%s", found, text, tr.marks[text], b.String())
}

// end stops the publishers, waits until the readers have everything, and judges that.
func (tr *traffic) end(c *cluster) {
	tr.t.Helper()
	tr.stop()
	eventually(tr.t, tr.complete, func() string {
		state := c.state(tr.t.Context())
		tr.readStop()
		tr.running.Wait()
		tr.judge()
		return "at the end" + state
	})
	tr.readStop()
	tr.running.Wait()
	tr.judge()
}

// complete reports whether every reader has all that was acknowledged of its channels.
func (tr *traffic) complete() bool {
	tr.mu.Lock()
	acked := make(map[string]string, len(tr.acked))
	for id, channel := range tr.acked {
		acked[id] = channel
	}
	tr.mu.Unlock()
	for _, f := range tr.readers {
		f.mu.Lock()
		for id, channel := range acked {
			if f.reads(channel) && !f.seen[id] {
				f.mu.Unlock()
				return false
			}
		}
		f.mu.Unlock()
	}
	return true
}

// judge says what is wrong with what the readers have seen, and how those came by it.
func (tr *traffic) judge() {
	tr.t.Helper()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	orders := make(map[string][]string) // the longest that a reader has seen
	for _, f := range tr.readers {
		for channel, ids := range f.order {
			if len(ids) > len(orders[channel]) {
				orders[channel] = ids
			}
		}
	}
	bad := 0
	for i, f := range tr.readers {
		for _, fault := range f.faults {
			if bad++; bad < 10 {
				tr.t.Errorf("reader %d of %v %s\nIt %s", i, f.wants, f, fault)
			}
		}
		var missing []string
		for id, channel := range tr.acked {
			if f.reads(channel) && !f.seen[id] {
				missing = append(missing, id+" of "+channel)
			}
		}
		if len(missing) > 0 {
			slices.Sort(missing)
			tr.t.Errorf("reader %d of %v %s\nIt misses %d acknowledged messages: %v", i, f.wants, f, len(missing), missing[:min(10, len(missing))])
		}
		for channel, ids := range f.order {
			// What was not acknowledged may come when some readers have stopped.
			if !slices.Equal(ids, orders[channel][:len(ids)]) {
				tr.t.Errorf("reader %d of %v %s\nIt has another order of %s than others: %s", i, f.wants, f, channel, difference(ids, orders[channel]))
			}
		}
	}
}

func difference(a, b []string) string {
	for i := range a {
		if i >= len(b) || a[i] != b[i] {
			return fmt.Sprintf("at %d, %v and %v", i, a[i:min(i+3, len(a))], b[min(i, len(b)):min(i+3, len(b))])
		}
	}
	return fmt.Sprintf("%d and %d messages", len(a), len(b))
}
