package handlers_test

import (
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/internal/ratelimit"
	"github.com/sluicehq/sluice/schemas"
)

// rates returns rate limits whose clock stands still.
func rates(o ratelimit.Options) func(*setup) {
	return func(s *setup) {
		at := time.Now()
		o.Now = func() time.Time { return at }
		s.handlers.Limits = ratelimit.New(o)
	}
}

// rates tests that every kind of publish counts, and how each is refused.
func (s *suite) rates(t *testing.T) {
	json, lines := map[string]string{"Content-Type": "application/json"}, map[string]string{"Content-Type": "application/x-ndjson"}
	item := line(1)
	one := call{name: "one", method: "POST", path: "/v1/publish/c/t", as: apiKey, body: "1", status: 201}
	refused := func(c call, detail string) call {
		c.status, c.problem, c.detail, c.says = 429, "rate-limited", detail, ""
		c.sets = map[string]string{"Retry-After": "1"}
		return c
	}
	for _, tt := range []call{
		one,
		{name: "batch of one", method: "POST", path: "/v1/publish", as: apiKey, header: json, body: item, status: 201},
		{name: "run", method: "PUT", path: "/v1/channels/c/run", as: apiKey, body: `{"status":"running"}`, status: 200},
		{name: "text", method: "POST", path: "/v1/publish/c/t/stream", as: apiKey, body: "x", status: 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := s.start(t, rates(ratelimit.Options{Key: ratelimit.Rate{Messages: 2}}))
			tt.sets = map[string]string{"RateLimit-Policy": `"key";q=2;w=1`, "RateLimit": `"key";r=1;t=1`}
			srv.check(t, tt)
			tt.sets["RateLimit"] = `"key";r=0;t=1`
			srv.check(t, tt)
			over := refused(tt, "at most 2 messages a second per API key")
			over.sets["RateLimit"] = `"key";r=0;t=1`
			srv.check(t, over)
			srv.check(t, call{method: "GET", path: "/metrics", status: 200, says: "\nsluice_limit_refusals_total{limit=\"max_publishes_per_key\"} 1\n"})
			srv.check(t, call{method: "GET", path: "/v1/channels/c", as: apiKey, status: 200, sets: map[string]string{"RateLimit": "-", "RateLimit-Policy": "-"}})
		})
	}
	t.Run("array", func(t *testing.T) {
		srv := s.start(t, rates(ratelimit.Options{Key: ratelimit.Rate{Messages: 3}}))
		a := srv.check(t, call{method: "POST", path: "/v1/publish", as: apiKey, header: json, body: "[" + strings.Repeat(item+",", 4) + item + "]", status: 200, sets: map[string]string{"RateLimit": `"key";r=0;t=1`}})
		results := decoded[[]map[string]any](t, a)
		for i, r := range results {
			if limited := r["status"] == 429.0 && r["retry_after"] == 1.0; limited != (i >= 3) {
				t.Errorf("item %d: %v", i, r)
			}
		}
		if n := len(srv.messages("c")); len(results) != 5 || n != 3 {
			t.Errorf("%d results, %d messages", len(results), n)
		}
	})
	t.Run("bytes", func(t *testing.T) {
		srv := s.start(t, rates(ratelimit.Options{Key: ratelimit.Rate{Bytes: 100}}))
		large, small := one, one
		large.body, small.body = `"`+strings.Repeat("x", 88)+`"`, "        1234567890 " // white space does not count
		large.sets = map[string]string{"RateLimit-Policy": `"key-bytes";q=100;qu="content-bytes";w=1`, "RateLimit": `"key-bytes";r=10;t=1`}
		srv.check(t, large)
		srv.check(t, refused(large, "at most 100 bytes a second per API key"))
		srv.check(t, small)
		srv.check(t, refused(small, "at most 100 bytes"))
	})
	t.Run("one larger than all", func(t *testing.T) {
		srv := s.start(t, rates(ratelimit.Options{Key: ratelimit.Rate{Bytes: 100}}))
		huge := one
		huge.body = `"` + strings.Repeat("x", 998) + `"`
		srv.check(t, huge)
		over := refused(one, "at most 100 bytes")
		over.sets["Retry-After"] = "10"
		srv.check(t, over)
	})
	t.Run("what publishes nothing is free", func(t *testing.T) {
		srv := s.start(t, rates(ratelimit.Options{Key: ratelimit.Rate{Messages: 1}, Subject: ratelimit.Rate{Messages: 1}}))
		bad, stranger := one, one
		bad.body, bad.status, bad.problem = "{", 400, "malformed"
		stranger.as, stranger.status, stranger.problem = srv.token("other", "t"), 403, "forbidden"
		for range 3 {
			srv.check(t, bad)
			srv.check(t, stranger)
			srv.check(t, call{method: "POST", path: "/v1/publish/c/t", body: "1", status: 401, problem: "unauthorized", sets: map[string]string{"RateLimit": "-"}})
		}
		srv.check(t, one)
	})
	t.Run("lines that are refused otherwise", func(t *testing.T) {
		srv := s.start(t, rates(ratelimit.Options{Key: ratelimit.Rate{Messages: 5}}))
		srv.check(t, call{method: "POST", path: "/v1/publish", as: apiKey, header: lines, body: strings.Repeat(item+"\n", 5), status: 200, sets: map[string]string{"RateLimit": `"key";r=5;t=1`}})
		srv.check(t, refused(one, "at most 5 messages"))
	})
	t.Run("callers", s.ratesOfCallers)
}

// ratesOfCallers tests who shares a limit with whom.
func (s *suite) ratesOfCallers(t *testing.T) {
	tokenFor := func(srv *server, sub string) string {
		return srv.mint(auth.TokenRequest{Subject: sub, Publish: schemas.AllowAll()}).Token
	}
	limited := func(t *testing.T, srv *server, as string, want int) {
		t.Helper()
		if a := srv.send(t, call{method: "POST", path: "/v1/publish/c/t", as: as, body: "1"}); a.status != want {
			t.Errorf("status %d, want %d", a.status, want)
		}
	}
	one := ratelimit.Rate{Messages: 1}
	t.Run("keys", func(t *testing.T) {
		srv := s.start(t, rates(ratelimit.Options{Key: one}), func(o *setup) {
			o.auth.APIKeys, o.auth.APIKeyFile = []string{apiKey, "other-plain-key"}, namedKeys(t)
		})
		for _, key := range []string{apiKey, "other-plain-key", "admin", "both"} {
			limited(t, srv, key, 201)
			limited(t, srv, key, 429)
		}
		token := tokenFor(srv, "u")
		limited(t, srv, token, 201)
		limited(t, srv, token, 201)
	})
	t.Run("subjects", func(t *testing.T) {
		srv := s.start(t, rates(ratelimit.Options{Subject: one}))
		limited(t, srv, tokenFor(srv, "u"), 201)
		limited(t, srv, tokenFor(srv, "u"), 429) // another token of the same subject
		limited(t, srv, tokenFor(srv, "v"), 201)
		nobody := tokenFor(srv, "")
		limited(t, srv, nobody, 201)
		limited(t, srv, nobody, 429)
		limited(t, srv, tokenFor(srv, ""), 201)
		limited(t, srv, apiKey, 201)
		limited(t, srv, apiKey, 201)
	})
	t.Run("addresses", func(t *testing.T) {
		srv := s.start(t, rates(ratelimit.Options{Address: one}), trusting)
		from := func(address string, want int) {
			t.Helper()
			a := srv.send(t, call{method: "POST", path: "/v1/publish/c/t", as: apiKey, body: "1", header: map[string]string{"X-Forwarded-For": address}})
			if a.status != want {
				t.Errorf("%s: status %d, want %d", address, a.status, want)
			}
		}
		from("192.0.2.1", 201)
		from("192.0.2.1", 429)
		from("192.0.2.2", 201)
		from("2001:db8::1", 201)
		from("2001:db8::ffff:1", 429) // of the same network
		from("2001:db8:0:1::1", 201)
		from("::ffff:192.0.2.1", 429) // the first one
	})
}

// trusting makes a server believe the X-Forwarded-For of its clients.
func trusting(o *setup) {
	o.handlers.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}

// The front and net/http limit alike, with the same answers, headers, metrics and logs.
func TestFront_rates(t *testing.T) {
	var traces [2]string
	servers := pairOf(t, rates(ratelimit.Options{Key: ratelimit.Rate{Messages: 4, Bytes: 100}, Subject: ratelimit.Rate{Messages: 2}, Address: ratelimit.Rate{Messages: 7}}),
		func(o *setup) { o.handlers.CORSOrigins = []string{allowedOrigin} })
	for i, s := range servers {
		token, stranger := s.token("c", "t"), s.token("d", "t")
		with := func(credential string) string {
			return strings.Replace(post("/v1/publish/c/t", "1"), apiKey, credential, 1)
		}
		input := post("/v1/publish/c/t", "1") + post("/v1/publish/c/t", `"`+strings.Repeat("x", 200)+`"`) + post("/v1/publish/c/t", "2") +
			with(token) + with("wrong") + with(stranger) + with(token) + with(token) + with(stranger) +
			post("/v1/publish/c/t", "3", "Origin: "+allowedOrigin) + post("/v1/publish/c/t", "4", "Idempotency-Key: k") + post("/v1/publish/c/t", "{") + post("/v1/publish/c/t", "5")
		answers := s.exchange(t, input+last, patience)
		if n := strings.Count(strings.Join(answers, "\n"), "429 Too Many Requests"); n != 3 {
			t.Errorf("%d refusals: %q", n, answers)
		}
		traces[i] = strings.Join(answers, "\n") + strings.Join(s.effect("c"), "\n") + s.traces(t)
	}
	sameLines(t, traces[0], traces[1])
	if !strings.Contains(traces[0], "Ratelimit: ") || !strings.Contains(traces[0], `sluice_limit_refusals_total{limit="max_publishes_per_subject"} 1`) {
		t.Errorf("got %s", traces[0])
	}
}

// Without limits, no answer tells of any, and nothing is counted.
func TestRates_off(t *testing.T) {
	for _, srv := range pairOf(t) {
		a := srv.check(t, call{method: "POST", path: "/v1/publish/c/t", as: apiKey, body: "1", status: 201, sets: map[string]string{"RateLimit": "-", "RateLimit-Policy": "-"}})
		if metrics := srv.check(t, call{method: "GET", path: "/metrics", status: 200}).body; strings.Contains(metrics, "sluice_rate_") {
			t.Errorf("%s: %s", a.body, metrics)
		}
	}
}

// Lines of a body are slowed down to the rate, and none is refused or lost; what was published
// before is answered at once.
func TestRates_lines(t *testing.T) {
	inBubble(t, func(t *testing.T, proto func(*setup)) {
		srv := start(t, proto, func(o *setup) {
			o.handlers.Limits = ratelimit.New(ratelimit.Options{Key: ratelimit.Rate{Messages: 10}})
		})
		d := srv.openLines(t, call{as: apiKey})
		const n = 35
		began := time.Now()
		go d.write(strings.Repeat(line(1)+"\n", n)) // ends with the body
		for i := range n {
			if o := d.next(); o.receipt.Kind != schemas.KindData {
				t.Fatalf("line %d: %+v", i, o)
			}
			if want := max(0, time.Duration(i+1-10)*100*time.Millisecond); time.Since(began) != want {
				t.Fatalf("line %d is answered after %v, want %v", i, time.Since(began), want)
			}
		}
		srv.check(t, call{method: "GET", path: "/metrics", status: 200, says: fmt.Sprintf("\nsluice_rate_delayed_total{limit=\"key\",unit=\"messages\"} %d\n", n-10)})
		d.body.Close()
		d.ends()
	})
}

// A body that waits for a limit ends with its credential.
func TestRates_linesEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, proto func(*setup)) {
		srv := start(t, proto, func(o *setup) {
			o.handlers.Limits = ratelimit.New(ratelimit.Options{Subject: ratelimit.Rate{Bytes: 1}})
		})
		token := srv.mint(auth.TokenRequest{Subject: "u", Publish: schemas.AllowAll(), TTL: time.Hour})
		d := srv.openLines(t, call{as: token.Token})
		d.write(line(strings.Repeat("x", 3000)) + "\n") // costs most of an hour
		if o := d.next(); o.receipt.Kind != schemas.KindData {
			t.Fatalf("the first line: %+v", o)
		}
		d.write(line(2) + "\n")
		time.Sleep(time.Minute)
		if err := srv.auth.Revoke(token.ID); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if o := d.next(); o.problem.Status != 401 || time.Since(began) > time.Second {
			t.Errorf("after %v: %+v", time.Since(began), o)
		}
		d.body.Close()
		d.ends()
		if n := len(srv.messages("c")); n != 1 {
			t.Errorf("%d messages", n)
		}
	})
}

// A text is slowed down to the rate of its bytes. All of it arrives.
func TestRates_text(t *testing.T) {
	inBubble(t, func(t *testing.T, proto func(*setup)) {
		srv := start(t, proto, func(o *setup) {
			o.handlers.Limits = ratelimit.New(ratelimit.Options{Key: ratelimit.Rate{Messages: 1, Bytes: 16 << 10}})
		})
		const size = 100 << 10
		r, w := io.Pipe()
		began := time.Now()
		answered := srv.later(t, call{method: "POST", path: "/v1/publish/c/t/stream", as: apiKey}, r)
		go func() { // ends with the body
			_, _ = io.WriteString(w, strings.Repeat("x", size))
			w.Close()
		}()
		a := <-answered
		if a == nil || a.status != 200 || !strings.Contains(a.body, `"bytes":`+strconv.Itoa(size)) {
			t.Fatalf("got %+v", a)
		}
		// One burst comes at once.
		if took, want := time.Since(began), time.Duration(size-16<<10)*time.Second/(16<<10); took < want || took > want+time.Second {
			t.Errorf("took %v, want %v", took, want)
		}
	})
}

// The headers of a limit are those of the draft, whatever the case of their names.
func TestRates_headers(t *testing.T) {
	srv := start(t, rates(ratelimit.Options{Key: ratelimit.Rate{Messages: 2}}))
	a := srv.check(t, call{method: "POST", path: "/v1/publish/c/t", as: apiKey, body: "1", status: 201})
	if got := []string{a.header.Get("RateLimit-Policy"), a.header.Get("RateLimit")}; !reflect.DeepEqual(got, []string{`"key";q=2;w=1`, `"key";r=1;t=1`}) {
		t.Errorf("got %q", got)
	}
}
