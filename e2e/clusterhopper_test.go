package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// hopper is one reader of a cluster, who comes again whenever the connection is lost.
type hopper struct {
	*traffic
	wants []string
	open  atomic.Bool

	mu     sync.Mutex
	last   string              // guarded by mu; id to come back with
	seen   map[string]bool     // guarded by mu; ids and texts
	order  map[string][]string // guarded by mu; ids by channel
	faults []string            // guarded by mu
	closes []string            // guarded by mu; $close events
	story  []string            // guarded by mu; what has happened to it
}

func (f *hopper) reads(channel string) bool {
	return slices.Contains(f.wants, "load:*") || slices.Contains(f.wants, channel)
}

// String says where the reader is, and how it got there.
func (f *hopper) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fmt.Sprintf("is at %s: %s", f.last, strings.Join(f.story[max(0, len(f.story)-6):], ", "))
}

// tell notes what has happened to the reader.
func (f *hopper) tell(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.story = append(f.story, time.Now().Format("05.000 ")+fmt.Sprintf(format, args...)+" after "+f.last)
}

func (f *hopper) has(text string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen[text]
}

// silence is after how long without a byte a connection counts as dead.
const silence = 8 * time.Second

// once reads until the connection is lost.
func (f *hopper) once(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f.mu.Lock()
	last := f.last
	f.mu.Unlock()
	req := subscription(ctx, f.t, f.url+"/v1/subscribe?"+url.Values{"channel": f.wants}.Encode(), testKey, last)
	dead := time.AfterFunc(silence, cancel)
	defer dead.Stop()
	resp, err := f.http.Do(req)
	if err != nil {
		f.tell("%v", err)
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		f.tell("status %d", resp.StatusCode)
		return // nginx has no node
	}
	events := newDecoder(&watched{resp.Body, dead})
	for {
		e, err := events.next()
		if err != nil {
			f.tell("%v", err)
			return
		}
		f.take(e)
		switch e.Type {
		case "$open":
			f.tell("$open")
		case "$close":
			f.tell("$close %s", strings.Split(e.Data, ",")[0])
		}
	}
}

// watched puts the end off with each read.
type watched struct {
	io.Reader
	dead *time.Timer
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	w.dead.Reset(silence)
	return n, err
}

// take notes an event and what is wrong with it.
func (f *hopper) take(e event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e.ID != "" {
		f.last = e.ID
	}
	switch e.Type {
	case "$open":
		f.open.Store(true)
	case "$close":
		f.closes = append(f.closes, e.Data)
	case "$gap":
		f.faults = append(f.faults, "was told of a gap: "+e.Data)
	case "$position":
	default:
		var m struct{ ID, Channel, Data string }
		if err := json.Unmarshal([]byte(e.Data), &m); err != nil {
			f.faults = append(f.faults, "cannot read an event: "+err.Error())
			return
		}
		if f.seen[m.ID] {
			f.faults = append(f.faults, "got twice: "+e.Data)
		}
		f.seen[m.ID], f.seen[m.Data] = true, true
		f.order[m.Channel] = append(f.order[m.Channel], m.ID)
	}
}
