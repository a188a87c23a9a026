package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// beacon tells where the server is, which moves with each start: while none listens
// on a port, a connection to it may reach the one who makes it.
type beacon struct {
	mu    sync.Mutex
	url   string        // guarded by mu; "" while there is none
	moved chan struct{} // guarded by mu; closed and replaced by move
}

func newBeacon() *beacon { return &beacon{moved: make(chan struct{})} }

func (b *beacon) move(url string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.url = url
	close(b.moved)
	b.moved = make(chan struct{})
}

// find waits until there is a server; it returns "" when ctx ends.
func (b *beacon) find(ctx context.Context) string {
	for ctx.Err() == nil {
		b.mu.Lock()
		url, moved := b.url, b.moved
		b.mu.Unlock()
		if url != "" {
			return url
		}
		select {
		case <-moved:
		case <-ctx.Done():
		}
	}
	return ""
}

func channelOf(prefix string, i int) string { return prefix + strconv.Itoa(i) }

// deed is a publish as its publisher knows it.
type deed struct {
	channel string
	data    string // JSON
	key     string // "": an ordinary one
	id      string // "": not acknowledged
	refused bool   // the server said that it was not published
}

// publishAll publishes until ctx ends, each second message with a key. With a key it
// tries until there is an answer, without one it does not come again.
func publishAll(ctx context.Context, t testing.TB, b *beacon, prefix, name string) (deeds []deed) {
	c := newClient(t)
	defer c.CloseIdleConnections()
	for n := 0; ctx.Err() == nil; n++ {
		text := fmt.Sprintf("%s-%d", name, n)
		d := deed{
			channel: channelOf(prefix, rand.IntN(stormChannels)),
			data:    strconv.Quote(text + strings.Repeat(" x", rand.IntN(500))),
		}
		if n%2 == 0 {
			d.key = text
		}
		for again := true; again; {
			again = d.try(t, c, b)
		}
		deeds = append(deeds, d)
	}
	return deeds
}

// try publishes, and reports whether to try again.
func (d *deed) try(t testing.TB, c *http.Client, b *beacon) (again bool) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	url := b.find(ctx)
	if url == "" {
		t.Errorf("the server did not come back for %.20s", d.data)
		return false
	}
	status, id, err := d.post(ctx, t, c, url)
	switch {
	case err != nil: // it may have been published
		return d.key != "" && ctx.Err() == nil
	case status == http.StatusCreated, status == http.StatusOK && d.key != "":
		d.id = id
		return false
	case status == http.StatusServiceUnavailable:
		d.refused = true
		wait(ctx, 10*time.Millisecond)
		return false
	}
	t.Errorf("publish: %d", status)
	return false
}

func (d *deed) post(ctx context.Context, t testing.TB, c *http.Client, url string) (status int, id string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/publish/"+d.channel+"/t", bytes.NewReader([]byte(d.data)))
	if err != nil {
		t.Error(err)
		return 0, "", err
	}
	req.Header.Set("Authorization", "Bearer "+testKey)
	if d.key != "" {
		req.Header.Set("Idempotency-Key", d.key)
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, "", err
	}
	var p published
	if err := json.Unmarshal(text, &p); err != nil {
		t.Errorf("publish: %d %q", resp.StatusCode, text)
	}
	return resp.StatusCode, p.ID, nil
}

// checkDeeds holds what publishers know against what is kept of their channels:
// nothing twice, nothing that was refused or that nobody published, and all that was
// acknowledged, under its id.
func checkDeeds(t testing.TB, deeds []deed, held map[string][]kept) {
	t.Helper()
	byData := make(map[string]kept)
	for name, messages := range held {
		for _, m := range messages {
			if m.Channel != name {
				t.Errorf("%s has a message of %s", name, m.Channel)
			}
			if first, twice := byData[string(m.Data)]; twice && string(m.Data) != `"end"` {
				t.Errorf("%.20s is there twice: %s and %s", m.Data, first.ID, m.ID)
			}
			byData[string(m.Data)] = m
		}
	}
	count := make(map[string]int)
	for _, d := range deeds {
		m, there := byData[d.data]
		delete(byData, d.data)
		if d.id != "" && (m.ID != d.id || m.Channel != d.channel) {
			t.Errorf("%.20s was acknowledged as %s of %s, with the key %q; what is there is %q", d.data, d.id, d.channel, d.key, m.ID)
		}
		if d.refused && there {
			t.Errorf("%.20s was refused and is there as %s", d.data, m.ID)
		}
		count[d.fate(there)]++
	}
	delete(byData, `"end"`)
	for data := range byData {
		t.Errorf("nobody published %.20s", data)
	}
	t.Log(count)
	if count["acknowledged, durable"] == 0 || count["acknowledged, ordinary"] == 0 {
		t.Error("this shows nothing")
	}
}

// fate names what has become of a publish.
func (d *deed) fate(there bool) string {
	switch {
	case d.refused:
		return "refused"
	case d.id != "" && d.key != "":
		return "acknowledged, durable"
	case d.id != "":
		return "acknowledged, ordinary"
	case there:
		return "unanswered, published"
	}
	return "unanswered, not published"
}
