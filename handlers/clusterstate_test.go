package handlers_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/broker/engine/clusterstate"
	"github.com/sluicehq/sluice/schemas"
)

// sameKeys makes nodes accept each other's tokens.
func sameKeys(ring *auth.Keyring) func(*setup) {
	return func(o *setup) { o.auth.Keys = ring }
}

// readAs opens a stream and waits until it has begun.
func (s *server) readAs(t *testing.T, token string) *feed {
	t.Helper()
	f := s.open(t, call{as: token, path: "channel=c"})
	f.after("$open")
	return f
}

func (f *feed) closedWith(code int) {
	f.t.Helper()
	if c := control[closed](f, "$close"); c.Code != code {
		f.t.Errorf("the stream ends with %d, want %d", c.Code, code)
	}
	f.ends()
}

// A token that is revoked on one node is revoked on all other nodes, including those that start
// later.
func TestClusterState_revocation(t *testing.T) {
	var c cluster
	keys := sameKeys(must(auth.NewKeyring()))
	a, b := start(t, c.join, keys), start(t, c.join, keys)
	token := a.mint(auth.TokenRequest{Subscribe: schemas.AllowAll()})
	streams := []*feed{a.readAs(t, token.Token), b.readAs(t, token.Token)}
	other := b.readAs(t, apiKey)
	before := time.Now()
	a.check(t, call{method: "DELETE", path: "/v1/tokens/" + token.ID, as: apiKey, status: 204})
	for _, f := range streams {
		f.closedWith(4401)
	}
	b.publish("c", "t", "1")
	other.gets("1")
	other.close()
	late := start(t, c.join, keys)
	for _, s := range []*server{a, b, late} {
		s.check(t, call{method: "GET", path: "/v1/schemas", as: token.Token, status: 401, problem: "unauthorized"})
	}
	f := c.last(t)
	if most := time.Now().Add(auth.DefaultMaxTTL + 61*time.Second); f.Name != token.ID || f.ExpiresAt.Before(before.Add(auth.DefaultMaxTTL)) || f.ExpiresAt.After(most) {
		t.Errorf("told %+v", f)
	}
	c.deliver(t, clusterstate.Item{Kind: f.Kind, Name: f.Name, Deleted: true})
	late.check(t, call{method: "GET", path: "/v1/schemas", as: token.Token, status: 200})
}

// A stored revocation expires at its original time, not later on nodes that receive it later.
func TestClusterState_revocation_keepsExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c cluster
		c.keep(clusterstate.Item{Kind: "revocation", Name: "old", ExpiresAt: time.Now().Add(time.Minute)})
		s := start(t, c.join, inMemory, func(o *setup) { o.auth.MaxRevocations = 1 })
		if !s.auth.Revoked("old") {
			t.Error("it does not hold")
		}
		time.Sleep(time.Minute + time.Nanosecond)
		s.check(t, call{method: "DELETE", path: "/v1/tokens/new", as: apiKey, status: 204})
		if s.auth.Revoked("old") || !s.auth.Revoked("new") {
			t.Error("it is held for longer")
		}
	})
}

// A revocation that an earlier version stored without an expiry gets one, on the node and in the
// store, however many there are.
func TestClusterState_revocation_withoutExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c cluster
		c.keep(clusterstate.Item{Kind: "revocation", Name: "a"}, clusterstate.Item{Kind: "revocation", Name: "b"}, clusterstate.Item{Kind: "revocation", Name: "c", ExpiresAt: time.Now().Add(time.Minute)})
		s := start(t, c.join, inMemory, func(o *setup) { o.auth.MaxRevocations = 1 })
		synctest.Wait()
		if len(c.told) != 2 {
			t.Fatalf("told %+v", c.told)
		}
		for i, name := range []string{"a", "b"} {
			if f := c.told[i]; f.Name != name || f.ExpiresAt.Before(time.Now().Add(auth.DefaultMaxTTL)) || f.ExpiresAt.After(time.Now().Add(auth.DefaultMaxTTL+time.Minute)) {
				t.Errorf("told %+v", f)
			}
		}
		time.Sleep(auth.DefaultMaxTTL)
		if !s.auth.Revoked("a") || s.auth.Stats().Revocations != 2 {
			t.Error("one was forgotten too early")
		}
		time.Sleep(time.Minute + time.Nanosecond)
		if n := s.auth.Stats().Revocations; n != 0 {
			t.Errorf("%d are held for ever", n)
		}
	})
}

func TestClusterState_definition(t *testing.T) {
	var c cluster
	a, b := start(t, c.join), start(t, c.join)
	const path = "/v1/schemas/run:%7Bid%7D"
	json := map[string]string{"Content-Type": "application/json"}
	a.check(t, call{method: "PUT", path: path, as: apiKey, header: json, body: `{"topics": {"a": {}}, "strict": true}`, status: 201})
	late := start(t, c.join)
	const stored = `{"name":"run:{id}","topics":{"a":{}},"strict":true}`
	for _, s := range []*server{a, b, late} {
		s.check(t, call{method: "GET", path: path, as: apiKey, status: 200, says: stored})
		s.check(t, call{method: "POST", path: "/v1/publish/run:1/b", as: apiKey, body: "1", status: 422, problem: "unknown-topic"})
	}
	b.check(t, call{method: "PUT", path: path, as: apiKey, header: json, body: `{"topics":{"b":{}}}`, status: 200})
	a.check(t, call{method: "POST", path: "/v1/publish/run:1/b", as: apiKey, body: "1", status: 201})
	b.check(t, call{method: "DELETE", path: path, as: apiKey, status: 204})
	for _, s := range []*server{a, b, late} {
		s.check(t, call{method: "DELETE", path: path, as: apiKey, status: 404, problem: "not-found"})
	}
	c.deliver(t, c.last(t)) // gone, once more
}

// The definitions in a node's file come first. A stored definition replaces the one with the
// same name, and is skipped if it conflicts with another one in the file.
func TestClusterState_definitionsInFile(t *testing.T) {
	var c cluster
	c.keep(
		clusterstate.Item{Kind: "definition", Name: "run:{other}", Value: []byte(`{}`)},
		clusterstate.Item{Kind: "definition", Name: "same", Value: []byte(`{"strict":true}`)},
		clusterstate.Item{Kind: "definition", Name: "broken", Value: []byte(`{`)},
		clusterstate.Item{Kind: "disconnect", Name: "x", Value: []byte(`{"sub":""}`)},
		clusterstate.Item{Kind: "keys", Name: "signing", Value: []byte(`of others`)},
		clusterstate.Item{Kind: "definition", Name: "more", Value: []byte(`{}`)},
	)
	catalog := schemas.NewCatalog(schemas.Limits{})
	if err := catalog.PutAll([]schemas.Definition{{Name: "run:{id}"}, {Name: "same"}}); err != nil {
		t.Fatal(err)
	}
	s := start(t, c.join, func(o *setup) { o.handlers.Catalog = catalog })
	s.check(t, call{method: "GET", path: "/v1/schemas", as: apiKey, status: 200, says: `[{"name":"more"},{"name":"run:{id}"},{"name":"same","strict":true}]`})
	if lines := s.log.lines("cannot apply cluster state"); len(lines) != 3 || !strings.Contains(lines[0], `"name":"run:{other}"`) || strings.Contains(s.log.String(), "of others") {
		t.Errorf("logged %q", lines)
	}
}

// Streams end on every node, except those that were opened after the order.
func TestClusterState_disconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c cluster
		keys := sameKeys(must(auth.NewKeyring()))
		a, b := start(t, c.join, keys, inMemory), start(t, c.join, keys, inMemory)
		user := func(sub string) string {
			return a.mint(auth.TokenRequest{Subject: sub, Subscribe: schemas.AllowAll()}).Token
		}
		streams := []*feed{a.readAs(t, user("u")), b.readAs(t, user("u")), b.readAs(t, user("u"))}
		other := b.readAs(t, user("v"))
		time.Sleep(time.Second)
		a.check(t, call{method: "DELETE", path: "/v1/subscribers?sub=u", as: apiKey, status: 200, says: `{"disconnected":1}`})
		for _, f := range streams {
			f.closedWith(4403)
		}
		told := c.last(t)
		if !told.ExpiresAt.Equal(time.Now().Add(time.Minute)) {
			t.Errorf("told until %v", told.ExpiresAt)
		}
		again := b.readAs(t, user("u"))
		c.deliver(t, told)
		b.publish("c", "t", "1")
		for _, f := range []*feed{again, other} {
			f.gets("1")
			f.close()
		}
		b.check(t, call{method: "DELETE", path: "/v1/subscribers?sub=nobody", as: apiKey, status: 200, says: `{"disconnected":0}`})
	})
}

// The node that receives the request does not rely on its clock to know which streams are open.
func TestClusterState_disconnect_ignoresOwnClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c cluster
		s := start(t, c.join, inMemory)
		var meanwhile *feed
		c.race = func() {
			time.Sleep(time.Second)
			meanwhile = s.readAs(t, s.mint(auth.TokenRequest{Subject: "u", Subscribe: schemas.AllowAll()}).Token)
		}
		s.check(t, call{method: "DELETE", path: "/v1/subscribers?sub=u", as: apiKey, status: 200, says: `{"disconnected":1}`})
		meanwhile.closedWith(4403)
	})
}

// A node that receives the order late ends only the streams that were open at its time.
func TestClusterState_disconnect_receivedLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c cluster
		s := start(t, c.join, inMemory)
		token := s.mint(auth.TokenRequest{Subject: "u", Subscribe: schemas.AllowAll()}).Token
		old := s.readAs(t, token)
		time.Sleep(time.Second)
		f := clusterstate.Item{Kind: "disconnect", Name: "x", Value: fmt.Appendf(nil, `{"sub":"u","before":%q}`, time.Now().Format(time.RFC3339Nano))}
		time.Sleep(time.Second)
		since := s.readAs(t, token)
		c.deliver(t, f)
		old.closedWith(4403)
		s.publish("c", "t", "1")
		since.gets("1")
		since.close()
	})
}

// If the store is out of reach, the client is told and nothing changes. A malformed request
// still gets its own answer.
func TestClusterState_unavailable(t *testing.T) {
	c := cluster{fault: fmt.Errorf("%w: no servers at 192.0.2.1", clusterstate.ErrUnavailable)}
	s := start(t, c.join, func(o *setup) { o.auth.MaxRevocations = 1 })
	if err := s.catalog.Put(schemas.Definition{Name: "run:{id}"}); err != nil {
		t.Fatal(err)
	}
	token := s.mint(auth.TokenRequest{Subject: "u", Subscribe: schemas.AllowAll()})
	stream := s.readAs(t, token.Token)
	json := map[string]string{"Content-Type": "application/json"}
	s.run(t, []call{
		{name: "revoke", method: "DELETE", path: "/v1/tokens/" + token.ID, as: apiKey, status: 503, problem: "engine-unavailable"},
		{name: "define", method: "PUT", path: "/v1/schemas/new", as: apiKey, header: json, body: "{}", status: 503, problem: "engine-unavailable"},
		{name: "replace", method: "PUT", path: "/v1/schemas/run:%7Bid%7D", as: apiKey, header: json, body: `{"strict":true}`, status: 503, problem: "engine-unavailable"},
		{name: "delete", method: "DELETE", path: "/v1/schemas/run:%7Bid%7D", as: apiKey, status: 503, problem: "engine-unavailable"},
		{name: "disconnect", method: "DELETE", path: "/v1/subscribers?sub=u", as: apiKey, status: 503, problem: "engine-unavailable"},
		{name: "as it was", method: "GET", path: "/v1/schemas", as: token.Token, status: 200, says: `{"schemas":[{"name":"run:{id}"}]}`},
	})
	s.publish("c", "t", "1")
	stream.gets("1")
	stream.close()
	c.told = nil
	if err := s.auth.Revoke("one"); err != nil {
		t.Fatal(err)
	}
	s.run(t, []call{
		{name: "revoke too many", method: "DELETE", path: "/v1/tokens/two", as: apiKey, status: 429, problem: "rate-limited"},
		{name: "revoke a bad id", method: "DELETE", path: "/v1/tokens/a%0A", as: apiKey, status: 400, problem: "malformed"},
		{name: "a tie", method: "PUT", path: "/v1/schemas/run:%7Bother%7D", as: apiKey, header: json, body: "{}", status: 422, problem: "bad-schema", fields: []string{"/name"}},
		{name: "delete nothing", method: "DELETE", path: "/v1/schemas/none", as: apiKey, status: 404, problem: "not-found"},
		{name: "disconnect nobody", method: "DELETE", path: "/v1/subscribers", as: apiKey, status: 400, problem: "malformed"},
	})
	if len(c.told) != 0 {
		t.Errorf("what is wrong was told: %+v", c.told)
	}
}

// A change that becomes invalid before it is applied is refused like one that always was.
func TestClusterState_invalidWhenApplied(t *testing.T) {
	var c cluster
	s := start(t, c.join, func(o *setup) { o.auth.MaxRevocations = 1 })
	c.race = func() {
		if err := s.catalog.Put(schemas.Definition{Name: "run:{id}"}); err != nil {
			t.Error(err)
		}
		if err := s.auth.Revoke("first"); err != nil {
			t.Error(err)
		}
	}
	json := map[string]string{"Content-Type": "application/json"}
	revoke := call{name: "revoke", method: "DELETE", path: "/v1/tokens/second", as: apiKey, status: 429, problem: "rate-limited"}
	define := call{name: "define", method: "PUT", path: "/v1/schemas/run:%7Bother%7D", as: apiKey, header: json, body: "{}", status: 422, problem: "bad-schema", fields: []string{"/name"}}
	s.run(t, []call{revoke, define})
	if len(c.told) != 1 || len(c.kept) != 0 {
		t.Errorf("told %+v, kept %+v", c.told, c.kept)
	}
	s.auth.Unrevoke("first")
	s.run(t, []call{revoke})
	if len(c.told) != 2 || len(c.kept) != 0 {
		t.Errorf("told %+v, kept %+v", c.told, c.kept)
	}
}
