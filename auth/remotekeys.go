package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Limits for fetching the keys of a foreign issuer.
const (
	fetchTimeout     = 5 * time.Second
	fetchInterval    = 10 * time.Minute // jittered by a tenth either way
	fetchMinInterval = 30 * time.Second // whatever the reason; after failures it doubles
	fetchMaxBackoff  = 5 * time.Minute
	maxJWKSBytes     = 256 << 10
	maxRedirects     = 3
)

// remoteKeys fetches the keys of a foreign issuer. One goroutine, which ends with its
// context, does all fetching.
type remoteKeys struct {
	*foreignKeys
	client *http.Client
	counts *counts
	wake   chan struct{} // of capacity 1: fetch now

	mu     sync.Mutex
	done   chan struct{} // guarded by mu; closed when the fetch that is due or under way is over; nil: none is
	last   time.Time     // guarded by mu; when the last fetch began
	closed bool          // guarded by mu; nothing is fetched any more
}

func newRemoteKeys(issuer Issuer, client *http.Client, logger *slog.Logger, c *counts) *remoteKeys {
	return &remoteKeys{
		foreignKeys: newForeignKeys(issuer, logger),
		client:      client,
		counts:      c,
		wake:        make(chan struct{}, 1),
		done:        make(chan struct{}), // run begins with a fetch
		last:        time.Now(),
	}
}

func (r *remoteKeys) current(time.Time) *keySet { return r.set.Load() }

// renewed waits for the running fetch, or for a new one if the last one began long enough
// ago: a flood of unknown kids causes no more than one fetch.
func (r *remoteKeys) renewed(ctx context.Context) *keySet {
	if done := r.ask(time.Now()); done != nil {
		select {
		case <-done:
		case <-ctx.Done():
		}
	}
	return r.set.Load()
}

// ask returns the channel to wait for, or nil if waiting would be pointless.
func (r *remoteKeys) ask(now time.Time) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	if r.done == nil {
		if now.Sub(r.last) < fetchMinInterval {
			return nil
		}
		r.done, r.last = make(chan struct{}), now
		r.wake <- struct{}{} // it is empty: begin drains it for every done
	}
	return r.done
}

// run fetches until ctx ends.
func (r *remoteKeys) run(ctx context.Context) {
	defer r.stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	failures := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-r.wake:
		}
		r.begin()
		err := r.fetch(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			failures++
			r.counts.fetchesFailed.Add(1)
			r.logger.Warn("key set of a foreign issuer not fetched, the last good one stays in use", logError, err)
		} else {
			failures = 0
			r.counts.fetchesOK.Add(1)
		}
		r.end() // who waits for the fetch finds it counted
		timer.Reset(nextFetch(failures))
	}
}

// begin marks a fetch as running, whether it was requested or is due.
func (r *remoteKeys) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.wake:
	default:
	}
	if r.done == nil {
		r.done = make(chan struct{})
	}
	r.last = time.Now()
}

func (r *remoteKeys) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.done)
	r.done = nil
}

// stop releases everybody who waits.
func (r *remoteKeys) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.done != nil {
		close(r.done)
		r.done = nil
	}
}

// nextFetch returns the pause after a fetch. Jitter keeps many servers from fetching at the
// same time.
func nextFetch(failures int) time.Duration {
	if failures == 0 {
		return fetchInterval - fetchInterval/10 + rand.N(fetchInterval/5) //nolint:gosec // jitter is no secret
	}
	backoff := min(fetchMaxBackoff, fetchMinInterval<<min(failures-1, 8))
	return backoff + rand.N(backoff/10) //nolint:gosec // jitter is no secret
}

// fetch fetches the set once.
func (r *remoteKeys) fetch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.issuer.JWKSURL, nil)
	if err != nil {
		return errors.New("bad URL")
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	req.Header.Set("User-Agent", "sluice")
	resp, err := r.client.Do(req)
	if err != nil {
		var inURL *url.Error // its text has the URL, and a query may hold a secret
		if errors.As(err, &inURL) {
			err = inURL.Err
		}
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	document, err := io.ReadAll(io.LimitReader(resp.Body, maxJWKSBytes+1))
	if err != nil {
		return err
	}
	if len(document) > maxJWKSBytes {
		return fmt.Errorf("the set has more than %d bytes", maxJWKSBytes)
	}
	return r.load(document)
}

// fetchClient returns the client that fetches key sets: base with our rule for redirects, or
// our own client. The latter keeps no idle connections, since the next fetch is minutes
// away.
func fetchClient(base *http.Client) *http.Client {
	client := http.Client{Transport: &http.Transport{
		Proxy:                  http.ProxyFromEnvironment, // none for loopback hosts
		DisableKeepAlives:      true,
		ForceAttemptHTTP2:      true,
		MaxResponseHeaderBytes: 64 << 10,
		TLSHandshakeTimeout:    fetchTimeout,
	}}
	if base != nil {
		client = *base
	}
	client.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if req.URL.Scheme != "https" {
			return errors.New("redirected to something that is not https")
		}
		if len(via) > maxRedirects {
			return errors.New("redirected too often")
		}
		return nil
	}
	return &client
}
