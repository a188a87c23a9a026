package handlers_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/handlers"
	"github.com/sluicehq/sluice/schemas"
)

// right is what an operation needs.
type right int

const (
	nothing    right = iota // everybody may do it
	identity                // any valid credential
	publishing              // a grant to publish to topic t of channel c
	running                 // a grant to publish to topic $run of channel c
	reading                 // a grant to read topic t of channel c
	seeing                  // a grant to read topic $presence of channel c, by its name
	everything              // an API key that may do everything
)

// operation is one thing that a client can ask for.
type task struct {
	right  right
	method string
	path   string
	body   string
	header map[string]string
	status int  // if it may be done
	query  bool // the credential is in the query
	item   bool // a refusal is in the body of an answer with this status
}

// tasks has every operation of the service, some of them in several ways.
func tasks() []task {
	const item = `{"channel":"c","topic":"t","data":1}`
	lines, sse := map[string]string{"Content-Type": "application/x-ndjson"}, map[string]string{"Accept": "text/event-stream"}
	return []task{
		{right: publishing, method: "POST", path: "/v1/publish/c/t", body: "1", status: 201},
		{right: publishing, method: "POST", path: "/v1/publish", body: item, status: 201},
		{right: publishing, method: "POST", path: "/v1/publish", body: "[" + item + "]", status: 200, item: true},
		{right: publishing, method: "POST", path: "/v1/publish", body: item + "\n", header: lines, status: 200, item: true},
		{right: publishing, method: "POST", path: "/v1/publish/c/t/stream", body: "x", status: 200},
		{right: publishing, method: "PUT", path: "/v1/publish/c/t/stream", body: "x", status: 200},
		{right: publishing, method: "HEAD", path: "/v1/publish/c/t/stream?stream_id=none", status: 404},
		{right: publishing, method: "DELETE", path: "/v1/publish/c/t/stream?stream_id=none", status: 404},
		{right: running, method: "PUT", path: "/v1/channels/c/run", body: `{"status":"running"}`, status: 200},
		{right: reading, method: "GET", path: "/v1/subscribe?channel=c&topic=t", header: sse, status: 200},
		{right: reading, method: "GET", path: "/v1/subscribe?channel=c&topic=t", status: 200, query: true},
		{right: reading, method: "HEAD", path: "/v1/subscribe?channel=c&topic=t", status: 200},
		{right: reading, method: "POST", path: "/v1/subscribe", body: `{"channels":[{"channel":"c","topics":["t"]}]}`, status: 200},
		{right: reading, method: "GET", path: "/v1/channels/c/messages", status: 200},
		{right: reading, method: "GET", path: "/v1/channels/c", status: 200},
		{right: seeing, method: "GET", path: "/v1/channels/c/presence", status: 200},
		{right: seeing, method: "GET", path: "/v1/subscribe?channel=c&topic=$presence", status: 200},
		{right: everything, method: "POST", path: "/v1/tokens", body: `{"channel":"c"}`, status: 201},
		{right: everything, method: "DELETE", path: "/v1/tokens/some", status: 204},
		{right: everything, method: "GET", path: "/v1/subscribers", status: 200},
		{right: everything, method: "DELETE", path: "/v1/subscribers?sub=nobody", status: 200},
		{right: everything, method: "GET", path: "/v1/webhooks", status: 200},
		{right: everything, method: "GET", path: "/v1/channels", status: 200},
		{right: everything, method: "DELETE", path: "/v1/channels/d", status: 204},
		{right: identity, method: "GET", path: "/v1/schemas", status: 200},
		{right: identity, method: "GET", path: "/v1/schemas/d", status: 200},
		{right: everything, method: "GET", path: "/v1/subscribe?channel=$system", header: sse, status: 200},
		{right: everything, method: "PUT", path: "/v1/schemas/d?dry_run=true", body: `{}`, status: 200},
		{right: everything, method: "PUT", path: "/v1/schemas/d", body: `{}`, status: 200},
		{right: everything, method: "DELETE", path: "/v1/schemas/d", status: 204},
		{method: "GET", path: "/.well-known/jwks.json", status: 200},
		{method: "GET", path: "/healthz", status: 200},
		{method: "GET", path: "/readyz", status: 200},
		{method: "GET", path: "/metrics", status: 200},
		{method: "GET", path: "/openapi.yaml", status: 200},
		{method: "GET", path: "/sdk/sluice.js", status: 200},
		{method: "GET", path: "/sdk/sluice.tgz", status: 200},
		{method: "GET", path: "/", status: 200},
	}
}

// holder is who asks: a credential and what it is good for.
type holder struct {
	name       string
	key        bool // it is an API key
	credential string
	rights     []right
	grants     bool // it grants some publishing, if only elsewhere
}

// holders returns every kind of credential. Those of a kind have the same grants.
func (s *server) holders() []holder {
	grant := func(channel, topic string) schemas.Grants {
		return schemas.Grants{{Channel: schemas.Pattern(channel), Topics: []string{topic}}}
	}
	all := []holder{
		{name: "nobody"},
		{name: "wrong key", credential: "wrong"},
		{name: "plain key", key: true, credential: apiKey, rights: []right{identity, publishing, running, reading, seeing, everything}, grants: true},
		{name: "admin key", key: true, credential: "admin", rights: []right{identity, publishing, running, reading, seeing, everything}, grants: true},
	}
	for _, g := range narrow() {
		all = append(all, holder{name: g.name + " key", key: true, credential: g.name, rights: g.rights, grants: g.publish != ""})
		request := auth.TokenRequest{Subject: "user"}
		if g.publish != "" {
			request.Publish = grant(g.publish, g.topic)
		}
		if g.subscribe != "" {
			request.Subscribe = grant(g.subscribe, g.topic)
		}
		all = append(all, holder{name: g.name + " token", credential: s.mint(request).Token, rights: g.rights, grants: g.publish != ""})
	}
	return all
}

// narrowGrant is what a narrow credential grants, and what it is good for.
type narrowGrant struct {
	name, publish, subscribe, topic string
	rights                          []right
}

func narrow() []narrowGrant {
	return []narrowGrant{
		{"publish", "c", "", "t", []right{identity, publishing}},
		{"publish-all", "*", "", "*", []right{identity, publishing, running}},
		{"run", "c", "", "$run", []right{identity, running}},
		{"read", "", "c", "t", []right{identity, reading}},
		{"read-all", "", "*", "*", []right{identity, reading}},
		{"presence", "", "c", "$presence", []right{identity, seeing}},
		{"both", "c", "c", "*", []right{identity, publishing, running, reading}},
		{"elsewhere", "other:*", "other:*", "*", []right{identity}},
		{"other-topic", "c", "c", "u", []right{identity}},
	}
}

// namedKeys returns a file of API keys: one that may do everything, and one for each grant.
// A key is its own name.
func namedKeys(t testing.TB) string {
	t.Helper()
	entries := []map[string]any{{"name": "admin", "sha256": hashOf("admin"), "admin": true}}
	for _, g := range narrow() {
		entry := map[string]any{"name": g.name, "sha256": hashOf(g.name)}
		for direction, channel := range map[string]string{"publish": g.publish, "subscribe": g.subscribe} {
			if channel != "" {
				entry[direction] = []any{map[string]any{"channel": channel, "topics": []string{g.topic}}}
			}
		}
		entries = append(entries, entry)
	}
	path := filepath.Join(t.TempDir(), "keys.json")
	writeKeys(t, path, entries...)
	return path
}

func hashOf(key string) string {
	hash := sha256.Sum256([]byte(key))
	return hex.EncodeToString(hash[:])
}

// writeKeys replaces a file of API keys.
func writeKeys(t testing.TB, path string, entries ...map[string]any) {
	t.Helper()
	if entries == nil {
		entries = []map[string]any{}
	}
	content := must(json.Marshal(map[string]any{"keys": entries}))
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// want returns the status of the answer, and of the refusal in it, 0 for none.
func (o task) want(h holder) (status, item int) {
	allowed := o.right == nothing || slices.Contains(h.rights, o.right)
	if o.path == "/v1/channels/c" || strings.HasSuffix(o.path, "/messages") {
		// Any topic of a channel is enough to ask for it.
		allowed = allowed || slices.Contains([]string{"other-topic key", "other-topic token", "presence key", "presence token"}, h.name)
	}
	switch {
	case o.query && h.key: // whatever it may do
		return 401, 0
	case allowed:
		return o.status, 0
	case h.rights == nil:
		return 401, 0
	case o.item && h.grants: // it is found out for each message
		return o.status, 403
	}
	return 403, 0
}

// Whoever may do an operation can, and nobody else.
func TestRights(t *testing.T) {
	for _, p := range append(paths(), path{"front", func(o *setup) { o.front = true }}) {
		t.Run(p.name, func(t *testing.T) {
			srv := start(t, p.change, func(o *setup) { o.auth.APIKeyFile = namedKeys(t) })
			all := tasks()
			everyRoute(t, srv, all)
			tried := 0
			for _, h := range srv.holders() {
				for _, o := range all {
					srv.publish("c", "t", "1") // so that it is there
					srv.publish("d", "t", "1")
					if err := srv.catalog.Put(must(schemas.ParseDefinition("d", []byte("{}")))); err != nil {
						t.Fatal(err)
					}
					status, item := o.want(h)
					if got, gotItem := srv.try(t, o, h.credential); got != status || gotItem != item {
						t.Errorf("%s: %s %s %.40s: status %d, item %d; want %d, %d", h.name, o.method, o.path, o.body, got, gotItem, status, item)
					}
					tried++
				}
			}
			if want := len(all) * (4 + 2*len(narrow())); tried != want {
				t.Errorf("tried %d of %d", tried, want)
			}
		})
	}
}

// everyRoute fails if an operation is missing.
func everyRoute(t *testing.T, s *server, all []task) {
	t.Helper()
	parameter := regexp.MustCompile(`:[a-z]+`)
	for _, r := range handlers.Routes(s.service) {
		pattern := regexp.MustCompile("^" + parameter.ReplaceAllString(r.Path, "[^/]+") + `(\?.*)?$`)
		if _, err := page().Open(strings.TrimPrefix(r.Path, "/")); err == nil && r.Path != "/" && !strings.HasPrefix(r.Path, "/sdk/") {
			continue // a file of the page
		}
		if !slices.ContainsFunc(all, func(o task) bool {
			return (o.method == r.Method || r.Method == http.MethodHead && o.method == http.MethodGet) && pattern.MatchString(o.path)
		}) {
			t.Errorf("%s %s is not tried", r.Method, r.Path)
		}
	}
}

// try does an operation and returns the status of the answer, and that of the problem in it, 0
// for none. Of a stream it reads the head alone.
func (s *server) try(t *testing.T, o task, credential string) (status, item int) {
	t.Helper()
	c := call{method: o.method, path: o.path, as: credential, header: o.header}
	if o.query && credential != "" {
		c.path, c.as = o.path+"&access_token="+credential, ""
	}
	resp, err := s.http.Do(s.request(t, c, bytes.NewReader([]byte(o.body))))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if !o.item {
		return resp.StatusCode, 0
	}
	body := strings.Trim(drained(t, resp.Body), "[]\n")
	var problem schemas.Problem
	if err := json.Unmarshal([]byte(body), &problem); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	if resp.StatusCode != 200 {
		return resp.StatusCode, 0
	}
	return resp.StatusCode, problem.Status
}

// A key that is removed from the file stops working, and so do its streams; one that may do
// something else is asked to come again. Nobody else notices.
func TestNamedKeys_removed(t *testing.T) {
	http2 := path{"HTTP/2", func(o *setup) { o.h2 = true }}
	for _, p := range append(paths(), http2, path{"front", func(o *setup) { o.front = true }}) {
		t.Run(p.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "keys.json")
			admin := map[string]any{"name": "administers", "sha256": hashOf("administers"), "admin": true}
			writeKeys(t, file, keyFor("stays", "c"), keyFor("goes", "c"), keyFor("changes", "c"), admin)
			srv := start(t, p.change, func(o *setup) { o.auth.APIKeyFile = file })
			feeds := make(map[string]*feed)
			for _, key := range []string{"stays", "goes", "changes", "administers"} {
				feeds[key] = srv.open(t, call{as: key, path: "channel=c", header: map[string]string{"X-Request-Id": "stream-of-" + key}})
				feeds[key].after("$open")
			}
			a := srv.check(t, call{method: "GET", path: "/v1/subscribers?channel=c", as: apiKey, status: 200, says: `"key":"goes"`})
			if strings.Contains(a.body, hashOf("goes")[:8]) {
				t.Errorf("subscribers: %s", a.body)
			}
			removed, changed := srv.openLines(t, call{as: "goes"}), srv.openLines(t, call{as: "changes"})
			removed.write(line(1) + "\n")
			if o := removed.next(); o.receipt.Kind != schemas.KindData {
				t.Fatalf("the first line: %+v", o)
			}
			for _, f := range feeds {
				f.after("t")
			}

			writeKeys(t, file, keyFor("stays", "c"), keyFor("changes", "d"))
			for key, want := range map[string]closed{
				"goes": {Code: 4401, Reason: "token_revoked"}, "administers": {Code: 4401, Reason: "token_revoked"}, "changes": {Code: 4004, Reason: "max_age"},
			} {
				got := control[closed](feeds[key], "$close")
				if got.Code != want.Code || got.Reason != want.Reason || *got.Reconnect != (want.Code == 4004) {
					t.Errorf("the stream of %s ends with %+v", key, got)
				}
				feeds[key].ends()
			}
			removed.write(line(2) + "\n")
			if o := removed.next(); o.problem.Status != 401 {
				t.Errorf("the next line of the removed key is %+v", o)
			}
			removed.ends()
			changed.write(line(3) + "\n")
			if o := changed.next(); o.problem.Status != 403 {
				t.Errorf("the next line of the changed key is %+v", o)
			}
			changed.body.Close()
			changed.ends()
			srv.check(t, call{method: "POST", path: "/v1/publish/c/t", body: "1", as: "goes", status: 401, problem: "unauthorized"})
			srv.check(t, call{method: "POST", path: "/v1/publish/c/t", body: "1", as: "changes", status: 403, problem: "forbidden"})
			srv.check(t, call{method: "POST", path: "/v1/publish/d/t", body: "1", as: "changes", status: 201})
			srv.check(t, call{method: "POST", path: "/v1/publish/c/t", body: `"last"`, as: "stays", status: 201})
			feeds["stays"].gets(`"last"`)
			feeds["stays"].close()

			srv.finished(t, "stream-of-goes")
			if len(srv.log.lines(`"msg":"stream finished"`, `"request_id":"stream-of-goes"`, `"key":"goes"`, `"code":4401`)) != 1 {
				t.Errorf("log: %s", srv.log.lines("stream-of-goes"))
			}
			if len(srv.log.lines(`"msg":"request"`, `"key":"changes"`, `"status":403`)) == 0 {
				t.Error("no request is logged with the key's name")
			}
			srv.check(t, call{method: "GET", path: "/metrics", status: 200, says: "\nsluice_api_key_requests_total{key=\"stays\"} 2\n"})
		})
	}
}

// keyFor returns an entry of a file of API keys: the key, which is its own name, may read and
// publish to everything in a channel.
func keyFor(name, channel string) map[string]any {
	grants := []any{map[string]any{"channel": channel, "topics": []string{"*"}}}
	return map[string]any{"name": name, "sha256": hashOf(name), "subscribe": grants, "publish": grants}
}

// All of that takes less than a second.
func TestNamedKeys_removedInTime(t *testing.T) {
	inBubble(t, func(t *testing.T, proto func(*setup)) {
		file := filepath.Join(t.TempDir(), "keys.json")
		writeKeys(t, file, keyFor("goes", "c"))
		srv := start(t, proto, func(o *setup) { o.auth.APIKeyFile = file })
		feed := srv.openLong(t, call{as: "goes", path: "channel=c"})
		feed.after("$open")
		writeKeys(t, file)
		began := time.Now() // of the bubble's clock
		feed.after("$close")
		if took := time.Since(began); took >= time.Second {
			t.Errorf("the stream ended after %v", took)
		}
		feed.ends()
		srv.check(t, call{method: "POST", path: "/v1/publish/c/t", body: "1", as: "goes", status: 401, problem: "unauthorized"})
	})
}

// A stream that is opened while its key is removed ends, too: nobody could find it before.
func TestNamedKeys_removedMeanwhile(t *testing.T) {
	for fate, content := range map[auth.KeyFate][]map[string]any{auth.KeyRemoved: nil, auth.KeyChanged: {keyFor("goes", "d")}} {
		file := filepath.Join(t.TempDir(), "keys.json")
		writeKeys(t, file, keyFor("goes", "c"))
		srv := start(t, func(o *setup) { o.auth.APIKeyFile = file })
		who := must(srv.auth.Authenticate(t.Context(), "goes"))
		writeKeys(t, file, content...)
		for who.KeyFate() != fate {
			time.Sleep(time.Millisecond)
		}
		s := must(handlers.Begin(t.Context(), srv.service, broker.Subscription{Channels: []broker.Selector{{Channel: "c"}}}, who))
		reason, ended := s.Ended()
		s.Close()
		if want := map[auth.KeyFate]int{auth.KeyRemoved: 4401, auth.KeyChanged: 4004}[fate]; !ended || reason.Code != want {
			t.Errorf("ended %t with %d, want %d", ended, reason.Code, want)
		}
	}
}
