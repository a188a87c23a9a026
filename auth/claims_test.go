package auth_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/schemas"
)

// raw is JSON that a Go value could not express.
func raw(s string) json.RawMessage { return json.RawMessage(s) }

func TestAuthority_Authenticate_claims(t *testing.T) {
	// In the bubble the clock stands still, so that a second's edge can be met.
	synctest.Test(t, func(t *testing.T) {
		k := newKey(t, auth.EdDSA)
		a := authorityOf(t, k.secret(t))
		now := time.Now().Unix()
		null := raw("null")
		tests := []struct {
			name  string
			more  object
			cause string // "": accepted
		}{
			{"as it is", object{}, ""},
			{"nothing but what is required", object{"sub": nil, "jti": nil, "iat": nil, "subscribe": nil}, ""},
			{"unknown claims", object{"scope": "x", "Exp": 1, "roles": []int{1}}, ""},

			{"no iss", object{"iss": nil}, "iss:"},
			{"iss of somebody else", object{"iss": "https://other.test"}, "unknown iss"},
			{"iss in other case", object{"iss": "Sluice"}, "unknown iss"},
			{"iss a list", object{"iss": []string{"sluice"}}, "iss: it is not a string"},

			{"no aud", object{"aud": nil}, "aud is neither"},
			{"aud of another server", object{"aud": "other"}, "aud is not this server"},
			{"aud in a list", object{"aud": []string{"other", "sluice"}}, ""},
			{"aud not in the list", object{"aud": []string{"other"}}, "aud is not this server"},
			{"aud an empty list", object{"aud": []string{}}, "aud is not this server"},
			{"aud null", object{"aud": null}, "aud is neither"},
			{"aud with a number", object{"aud": raw(`["sluice",1]`)}, "aud is neither"},

			{"no exp", object{"exp": nil}, "there is no exp"},
			{"exp now", object{"exp": now}, "expired"},
			{"exp in a second", object{"exp": now + 1}, ""},
			{"exp a second ago", object{"exp": now - 1}, "expired"},
			{"exp with a fraction", object{"exp": raw(fmt.Sprintf("%d.9", now))}, "expired"},
			{"exp with an exponent", object{"exp": raw(fmt.Sprintf("%d.5e1", (now+50)/10))}, ""},
			{"exp a string", object{"exp": fmt.Sprint(now + 60)}, "exp: it is not a number"},
			{"exp null", object{"exp": null}, "exp: it is not a number"},
			{"exp true", object{"exp": true}, "exp: it is not a number"},
			{"exp a list", object{"exp": []int64{now + 60}}, "exp: it is not a number"},
			{"exp negative", object{"exp": -1}, "exp: it is not a time"},
			{"exp beyond all bounds", object{"exp": raw("1e300")}, "exp: it is not a time"},
			{"exp beyond a float", object{"exp": raw("1e999")}, "exp: it is not a time"},
			{"exp at the longest life", object{"exp": now + 24*3600 + 30}, ""},
			{"exp beyond the longest life", object{"exp": now + 24*3600 + 31}, "exp is more than 24h0m0s away"},

			{"exp soon, of a life that was too long", object{"iat": now - 24*3600, "exp": now + 31}, "exp is more than 24h0m0s after iat"},
			{"exp soon, of the longest life", object{"iat": now - 24*3600, "exp": now + 30}, ""},
			{"a life that nobody knows", object{"iat": nil}, "it has a jti and no iat"},

			{"nbf 30 s ahead", object{"nbf": now + 30}, ""},
			{"nbf 31 s ahead", object{"nbf": now + 31}, "nbf is in the future"},
			{"nbf a string", object{"nbf": "0"}, "nbf: it is not a number"},
			{"iat 30 s ahead", object{"iat": now + 30}, ""},
			{"iat 31 s ahead", object{"iat": now + 31}, "iat is in the future"},
			{"iat null", object{"iat": null}, "iat: it is not a number"},

			{"sub of 255 bytes", object{"sub": strings.Repeat("s", 255)}, ""},
			{"sub of 256 bytes", object{"sub": strings.Repeat("s", 256)}, "sub has more than 255"},
			{"sub a number", object{"sub": 7}, "sub: it is not a string"},
			{"sub null", object{"sub": null}, "sub: it is not a string"},
			{"jti of 255 bytes", object{"jti": strings.Repeat("j", 255)}, ""},
			{"jti of 256 bytes", object{"jti": strings.Repeat("j", 256)}, "jti is not"},
			{"jti empty", object{"jti": ""}, "jti is not"},
			{"jti not ASCII", object{"jti": "é"}, "jti is not"},
			{"jti a number", object{"jti": 1}, "jti: it is not a string"},
		}
		for _, tt := range tests {
			token := k.token(t, k.header(t), goodClaims().with(tt.more))
			if p, err := a.Authenticate(t.Context(), token); (err == nil) != (tt.cause == "") {
				t.Errorf("%s: got %+v, %v; want %q", tt.name, p, err, tt.cause)
			} else if err != nil && !strings.Contains(err.Error(), tt.cause) {
				t.Errorf("%s: refused for %q, want %q", tt.name, err, tt.cause)
			}
		}
	})
}

func TestAuthority_Authenticate_grants(t *testing.T) {
	k := newKey(t, auth.EdDSA)
	a := authorityOf(t, k.secret(t))
	many := func(n int, item string) string {
		return "[" + strings.TrimSuffix(strings.Repeat(item+",", n), ",") + "]"
	}
	one := `{"channel":"c","topics":["a"]}`
	tests := []struct{ name, grants, cause string }{
		{"none", `[]`, ""},
		{"with white space", " [ {\n \"channel\" : \"user:1:*\", \"topics\" : [ \"*\" ] } ]", ""},
		{"everything", `[{"channel":"*","topics":["*"]}]`, ""},
		{"256 grants", many(256, one), ""},
		{"257 grants", many(257, one), "more than 256"},
		{"256 topics", `[{"channel":"c","topics":` + many(256, `"a"`) + `}]`, ""},
		{"257 topics", `[{"channel":"c","topics":` + many(257, `"a"`) + `}]`, "more than 256 topics"},
		{"null", `null`, "not a list"},
		{"an object", one, "not a list"},
		{"a string", `"*"`, "not a list"},
		{"a grant that is null", `[null]`, "not a JSON object"},
		{"a grant that is a string", `["*"]`, "not a JSON object"},
		{"star after a name", `[{"channel":"user:1*","topics":["*"]}]`, "bad grant"},
		{"star in the middle", `[{"channel":"user:*:x","topics":["*"]}]`, "bad grant"},
		{"system channel", `[{"channel":"$sys","topics":["*"]}]`, "bad grant"},
		{"channel empty", `[{"channel":"","topics":["*"]}]`, "bad grant"},
		{"channel missing", `[{"topics":["*"]}]`, "channel:"},
		{"channel null", `[{"channel":null,"topics":["*"]}]`, "channel:"},
		{"topics missing", `[{"channel":"c"}]`, "topics:"},
		{"topics null", `[{"channel":"c","topics":null}]`, "topics:"},
		{"topics empty", `[{"channel":"c","topics":[]}]`, "bad grant"},
		{"topics a string", `[{"channel":"c","topics":"*"}]`, "topics:"},
		{"a topic that is null", `[{"channel":"c","topics":[null]}]`, "topics:"},
		{"a reserved topic", `[{"channel":"c","topics":["error"]}]`, "bad grant"},
		{"a topic pattern", `[{"channel":"c","topics":["a*"]}]`, "bad grant"},
		{"unknown member", `[{"channel":"c","topics":["a"],"until":"noon"}]`, "unknown member"},
		{"member in other case", `[{"Channel":"c","topics":["a"]}]`, "unknown member"},
		{"member twice", `[{"channel":"c","topics":["a"],"topics":["*"]}]`, "stands twice"},
		{"one bad among good ones", `[` + one + `,{"channel":"c"}]`, "grant 1"},
	}
	for _, tt := range tests {
		for _, claim := range []string{"subscribe", "publish"} {
			t.Run(tt.name+" "+claim, func(t *testing.T) {
				// By hand, since encoding/json would compact it.
				claims := strings.TrimSuffix(string(marshal(t, goodClaims().with(object{"subscribe": nil}))), "}") + `,"` + claim + `":` + tt.grants + `}`
				token := k.token(t, k.header(t), claims)
				if tt.cause == "" {
					mustAccept(t, a, token)
					return
				}
				mustRefuse(t, a, token, tt.cause)
			})
		}
	}
}

func TestAuthority_Authenticate_grantReachesNoSibling(t *testing.T) {
	k := newKey(t, auth.EdDSA)
	a := authorityOf(t, k.secret(t))
	claims := goodClaims().with(object{"subscribe": []object{{"channel": "user:1:*", "topics": []string{"status"}}}})
	p := mustAccept(t, a, k.token(t, k.header(t), claims))
	for channel, want := range map[string]bool{"user:1:a": true, "user:1:a:b": true, "user:10": false, "user:10:a": false, "user:1": false, "user:1:": false} {
		if got := p.Subscribe.Allows(schemas.Channel(channel), "status"); got != want {
			t.Errorf("%s: got %v", channel, got)
		}
	}
	if p.Subscribe.Allows("user:1:a", "tokens") || p.Publish.Allows("user:1:a", "status") {
		t.Error("the grant reaches another topic or direction")
	}
}

func TestAuthority_Authenticate_noGrantsGrantNothing(t *testing.T) {
	k := newKey(t, auth.EdDSA)
	a := authorityOf(t, k.secret(t))
	p := mustAccept(t, a, k.token(t, k.header(t), goodClaims().with(object{"subscribe": nil})))
	if p.Admin || len(p.Subscribe)+len(p.Publish) != 0 || p.Subscribe.Allows("c", "t") {
		t.Errorf("got %+v", p)
	}
}

func TestAuthority_Authenticate_escapes(t *testing.T) {
	k := newKey(t, auth.EdDSA)
	a := authorityOf(t, k.secret(t))
	for _, want := range []string{`"`, `\`, `\"`, `a","exp":1,"x":"`, `]}`, "tab\tline\n", "\u2028 é \U0001f600 <&>"} {
		p := mustAccept(t, a, k.token(t, k.header(t), goodClaims().with(object{"sub": want, "x": []any{want, object{want: want}}})))
		if p.Subject != want || len(p.Subscribe) != 1 {
			t.Errorf("got %q, want %q", p.Subject, want)
		}
	}
}

// JSON that two readers could understand differently is not understood.
func TestAuthority_Authenticate_ambiguousJSON(t *testing.T) {
	k := newKey(t, auth.EdDSA)
	a := authorityOf(t, k.secret(t))
	claims := string(marshal(t, goodClaims()))
	header := string(marshal(t, k.header(t)))
	mustAccept(t, a, k.token(t, header, claims))
	tests := []struct{ name, header, claims, cause string }{
		{"claim twice", header, strings.TrimSuffix(claims, "}") + `,"sub":"admin"}`, `"sub" stands twice`},
		{"claim twice, once escaped", header, strings.TrimSuffix(claims, "}") + `,"\u0073ub":"admin"}`, `"sub" stands twice`},
		{"parameter twice", strings.TrimSuffix(header, "}") + `,"alg":"none"}`, claims, `"alg" stands twice`},
		{"something after the claims", header, claims + `{}`, "not a JSON object"},
		{"something after the header", header + `x`, claims, "not a JSON object"},
		{"claims a list", header, "[" + claims + "]", "not a JSON object"},
		{"claims null", header, "null", "not a JSON object"},
		{"claims empty", header, "", "not a JSON object"},
		{"header empty", "", claims, "not a JSON object"},
		{"not UTF-8", header, strings.Replace(claims, "user-7", "user-\xff", 1), "not a JSON object"},
		{"cut off", header, strings.TrimSuffix(claims, "}"), "not a JSON object"},
		{"deep", header, strings.Repeat("[", 10000), "nested more than 500 levels"},
		{"just too deep", header, `{"a":` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + "}", "nested more than 500 levels"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { mustRefuse(t, a, k.token(t, tt.header, tt.claims), tt.cause) })
	}
}
