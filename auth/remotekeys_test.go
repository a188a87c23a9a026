package auth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/auth"
)

func TestAuthority_remote_firstTokenWaitsForTheFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKey(t, auth.EdDSA)
		publish := publishing(t, k)
		s := newIssuerServer(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(4 * time.Second)
			publish(w, r)
		})
		a := s.trusting(t)
		var callers sync.WaitGroup
		for range 50 { // all at once: one fetch
			callers.Go(func() { mustAccept(t, a, foreignToken(t, k)) })
		}
		callers.Wait()
		s.mustHaveSeen(t, 1)
		if stats := a.Stats(); stats.JWKSFetchesOK != 1 || stats.JWKSFetchesFailed != 0 {
			t.Errorf("got %+v", stats)
		}
	})
}

func TestAuthority_remote_callerGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKey(t, auth.EdDSA)
		s := newIssuerServer(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		a := s.trusting(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := a.Authenticate(ctx, foreignToken(t, k))
		if !errors.Is(err, auth.ErrUnauthorized) || time.Since(start) != time.Second {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		a.Close() // with the fetch under way
		a.Close()
		mustRefuse(t, a, foreignToken(t, k), "not fetched yet")
		time.Sleep(time.Minute) // a fetch would be allowed now, but nobody is there to do it
		mustRefuse(t, a, foreignToken(t, k), "not fetched yet")
		s.mustHaveSeen(t, 1)
	})
}

func TestAuthority_remote_badAnswers(t *testing.T) {
	k := newKey(t, auth.EdDSA)
	document := string(marshal(t, keySetOf(k.published(t))))
	var elsewhere atomic.Int64
	tests := []struct {
		name    string
		handler http.HandlerFunc
	}{
		{"slow headers", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
		{"slow body", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, document[:20])
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}},
		{"trickle", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, " ")
				_ = http.NewResponseController(w).Flush()
				select {
				case <-time.After(time.Second):
				case <-r.Context().Done():
				}
			}
		}},
		{"huge", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, document+strings.Repeat(" ", 256<<10))
		}},
		{"redirect to http", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/elsewhere" {
				elsewhere.Add(1)
				_, _ = io.WriteString(w, document)
				return
			}
			http.Redirect(w, r, "http://localhost/elsewhere", http.StatusFound)
		}},
		{"garbage", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }},
		{"no usable key", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"keys":[{"kty":"oct"}]}`) }},
		{"404 with a good set", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, document)
		}},
		{"cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(document)))
			_, _ = io.WriteString(w, document[:50])
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newIssuerServer(t, tt.handler)
				a := s.trusting(t)
				start := time.Now()
				mustRefuse(t, a, foreignToken(t, k), "not fetched yet")
				if _, err := a.Authenticate(t.Context(), foreignToken(t, k)); !errors.Is(err, auth.ErrIssuerUnavailable) {
					t.Errorf("got %v", err)
				}
				if took := time.Since(start); took > 5*time.Second {
					t.Errorf("it took %v", took)
				}
				if stats := a.Stats(); stats.JWKSFetchesFailed != 1 || stats.JWKSFetchesOK != 0 {
					t.Errorf("got %+v", stats)
				}

				// The failure poisons nothing: it is tried again without being asked to.
				s.set(publishing(t, k))
				time.Sleep(40 * time.Second)
				s.mustHaveSeen(t, 2)
				mustAccept(t, a, foreignToken(t, k))

				// And once there are keys, they stay.
				s.set(tt.handler)
				time.Sleep(12 * time.Minute)
				if stats := a.Stats(); stats.JWKSFetchesFailed < 2 {
					t.Errorf("got %+v", stats)
				}
				mustAccept(t, a, foreignToken(t, k))
			})
		})
	}
	if elsewhere.Load() != 0 {
		t.Error("the redirect was followed")
	}
}

func TestAuthority_remote_rotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := newKey(t, auth.EdDSA), newKey(t, auth.EdDSA)
		s := newIssuerServer(t, publishing(t, first))
		a := s.trusting(t)
		byFirst := foreignToken(t, first)
		mustAccept(t, a, byFirst)
		mustAccept(t, a, byFirst)

		s.set(publishing(t, second))
		time.Sleep(30*time.Second - 1)
		mustRefuse(t, a, foreignToken(t, second), "has no key with kid") // asked for too early
		s.mustHaveSeen(t, 1)
		time.Sleep(time.Nanosecond)
		mustAccept(t, a, foreignToken(t, second)) // the unknown kid fetched it
		s.mustHaveSeen(t, 2)
		mustRefuse(t, a, byFirst, "has no key with kid") // though it is in the cache
	})
}

func TestAuthority_remote_refreshedInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := newKey(t, auth.EdDSA), newKey(t, auth.EdDSA)
		s := newIssuerServer(t, publishing(t, first))
		start := time.Now()
		a := s.trusting(t)
		token := foreignToken(t, first)
		mustAccept(t, a, token)
		time.Sleep(9*time.Minute - time.Second)
		s.mustHaveSeen(t, 1)
		for s.requests.Load() < 2 && time.Now().Before(start.Add(11*time.Minute)) {
			time.Sleep(time.Second)
		}
		mustRefuse(t, a, foreignToken(t, second), "has no key with kid")
		s.mustHaveSeen(t, 2) // an unknown kid right after that fetches nothing
		hits := a.Stats().CacheHits
		mustAccept(t, a, token)
		if a.Stats().CacheHits != hits+1 {
			t.Error("an unchanged set emptied the cache")
		}
		s.set(publishing(t, second))
		time.Sleep(11 * time.Minute)
		mustRefuse(t, a, token, "has no key with kid")
	})
}

// A flood of forged kids costs one fetch in 30 s, whether it succeeds or not.
func TestAuthority_remote_floodOfUnknownKids(t *testing.T) {
	for _, failing := range []bool{false, true} {
		t.Run(fmt.Sprint("failing ", failing), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k, attacker := newKey(t, auth.EdDSA), newKey(t, auth.EdDSA)
				s := newIssuerServer(t, publishing(t, k))
				a := s.trusting(t)
				mustAccept(t, a, foreignToken(t, k))
				s.mustHaveSeen(t, 1)
				if failing {
					s.set(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
				}
				time.Sleep(time.Minute)
				flood := func(n int) {
					var callers sync.WaitGroup
					for i := range n {
						header := attacker.header(t).with(object{"kid": fmt.Sprint("forged-", i)})
						token := attacker.token(t, header, foreignClaims())
						callers.Go(func() { mustRefuse(t, a, token, "has no key with kid") })
					}
					callers.Wait()
				}
				flood(200)
				flood(200)
				s.mustHaveSeen(t, 2)
				time.Sleep(29 * time.Second)
				flood(10)
				s.mustHaveSeen(t, 2)
				mustAccept(t, a, foreignToken(t, k))
			})
		})
	}
}

// An issuer that is down is asked less and less often, never twice in 30 s.
func TestAuthority_remote_backsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var times []time.Time // the server handles one request at a time
		s := newIssuerServer(t, func(w http.ResponseWriter, _ *http.Request) {
			times = append(times, time.Now())
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		a := s.trusting(t)
		time.Sleep(20 * time.Minute)
		failed := s.requests.Load()
		s.set(publishing(t, newKey(t, auth.EdDSA)))
		time.Sleep(11 * time.Minute)
		s.mustHaveSeen(t, failed+1) // and after a success as seldom as ever
		a.Close()
		var pauses []time.Duration
		for i, want := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 5 * time.Minute, 5 * time.Minute} {
			if i+1 == len(times) {
				t.Fatalf("only %d requests", len(times))
			}
			pauses = append(pauses, times[i+1].Sub(times[i]))
			if pauses[i] < want || pauses[i] > want+want/10 {
				t.Errorf("pause %d is not %v: %v", i, want, pauses)
			}
		}
	})
}

// Real sockets and TLS: a redirect within https is followed.
func TestAuthority_remote_httpsRedirect(t *testing.T) {
	k := newKey(t, auth.EdDSA)
	mux := http.NewServeMux()
	mux.Handle("/old", http.RedirectHandler("/new", http.StatusMovedPermanently))
	mux.HandleFunc("/new", publishing(t, k))
	var loops atomic.Int64
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) {
		loops.Add(1)
		http.Redirect(w, r, "/loop", http.StatusFound)
	})
	server := httptest.NewUnstartedServer(mux)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // a client that does not trust it is part of the test
	server.StartTLS()
	t.Cleanup(server.Close)
	issuer := auth.Issuer{Issuer: foreignName, Audience: "app", Algorithms: []auth.Algorithm{auth.EdDSA}, JWKSURL: server.URL + "/old"}
	mustAccept(t, newAuthority(t, auth.Options{Issuers: []auth.Issuer{issuer}, HTTPClient: server.Client()}), foreignToken(t, k))
	issuer.JWKSURL = server.URL + "/loop"
	mustRefuse(t, newAuthority(t, auth.Options{Issuers: []auth.Issuer{issuer}, HTTPClient: server.Client()}), foreignToken(t, k), "not fetched yet")
	if n := loops.Load(); n > 4 {
		t.Errorf("%d redirects were followed", n-1)
	}
	// A certificate that nobody vouches for.
	issuer.JWKSURL = server.URL + "/new"
	mustRefuse(t, newAuthority(t, auth.Options{Issuers: []auth.Issuer{issuer}}), foreignToken(t, k), "not fetched yet")
}
