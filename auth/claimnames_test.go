package auth_test

import (
	"strings"
	"testing"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/schemas"
)

// Tokens as login services make them that let nobody choose the names of claims, or
// their form.
func TestAuthority_Authenticate_claimNames(t *testing.T) {
	k := newKey(t, auth.EdDSA)
	const reads, writes = `[{"channel":"user:7:*","topics":["*"]}]`, `[{"channel":"user:7:chat","topics":["said"]}]`
	plain := object{"subscribe": nil}
	namespaced := auth.ClaimNames{Subscribe: "https://example.com/sluice/subscribe", Publish: "https://example.com/sluice/publish"}
	asText := auth.ClaimNames{Subject: "username", Subscribe: "custom:subscribe", Publish: "custom:publish"}
	tests := []struct {
		name   string
		names  auth.ClaimNames
		claims object
		cause  string // "": accepted
		reads  string // channels
		writes string
		sub    string
	}{
		{"names of Sluice", auth.ClaimNames{}, object{"subscribe": raw(reads), "publish": raw(writes)}, "", "user:7:*", "user:7:chat", "user-7"},
		{"names of Sluice, as text", auth.ClaimNames{}, object{"subscribe": reads}, "subscribe: it is not a list", "", "", ""},
		{"namespaced", namespaced, plain.with(object{namespaced.Subscribe: raw(reads), namespaced.Publish: raw(writes)}), "", "user:7:*", "user:7:chat", "user-7"},
		{"namespaced, one alone", namespaced, plain.with(object{namespaced.Publish: raw(writes)}), "", "", "user:7:chat", "user-7"},
		{"the names of Sluice mean nothing then", namespaced, object{"subscribe": raw(reads), "publish": raw(writes)}, "", "", "", "user-7"},
		{"not even what is wrong there", namespaced, object{"subscribe": 7}, "", "", "", "user-7"},
		{"one of them has the name of Sluice", auth.ClaimNames{Subscribe: "read"}, object{"read": raw(reads), "publish": raw(writes), "subscribe": raw(writes)}, "", "user:7:*", "user:7:chat", "user-7"},
		{"one of them has the name of Sluice, as text", auth.ClaimNames{Subscribe: "read"}, object{"publish": writes}, "publish: it is not a list", "", "", ""},
		{"text", asText, object{"username": "ada", "custom:subscribe": reads, "custom:publish": " " + writes + "\n"}, "", "user:7:*", "user:7:chat", "ada"},
		{"text that says subscribe", auth.ClaimNames{Subscribe: "subscribe"}, object{"subscribe": reads}, "", "user:7:*", "", "user-7"},
		{"text of an empty list", asText, object{"username": "ada", "custom:subscribe": "[]"}, "", "", "", "ada"},
		{"no subject", asText, object{"custom:subscribe": reads}, "username is missing", "", "", ""},
		{"an empty subject", asText, object{"username": ""}, "username is missing", "", "", ""},
		{"a long subject", asText, object{"username": strings.Repeat("s", 256)}, "username has more than 255", "", "", ""},
		{"a subject that is no text", asText, object{"username": []string{"ada"}}, "username: it is not a string", "", "", ""},
		{"empty text", asText, object{"username": "ada", "custom:subscribe": ""}, "custom:subscribe: it is a string that does not hold JSON", "", "", ""},
		{"words", asText, object{"username": "ada", "custom:subscribe": "user:7:a user:7:b"}, "does not hold JSON", "", "", ""},
		{"a star", asText, object{"username": "ada", "custom:publish": "*"}, "custom:publish: it is a string that does not hold JSON", "", "", ""},
		{"text in text", asText, object{"username": "ada", "custom:subscribe": `"[]"`}, "not a list", "", "", ""},
		{"null in text", asText, object{"username": "ada", "custom:subscribe": "null"}, "not a list", "", "", ""},
		{"two values in text", asText, object{"username": "ada", "custom:subscribe": reads + reads}, "does not hold JSON", "", "", ""},
		{"a member twice in text", asText, object{"username": "ada", "custom:subscribe": `[{"channel":"c","topics":["a"],"topics":["*"]}]`}, "stands twice", "", "", ""},
		{"an unknown member in text", asText, object{"username": "ada", "custom:subscribe": `[{"channel":"c","topics":["a"],"until":"noon"}]`}, "unknown member", "", "", ""},
		{"a bad pattern in text", asText, object{"username": "ada", "custom:subscribe": `[{"channel":"user:7*","topics":["a"]}]`}, "bad grant", "", "", ""},
		{"deep text", asText, object{"username": "ada", "custom:subscribe": strings.Repeat("[", 501) + strings.Repeat("]", 501)}, "levels deep", "", "", ""},
		{"too many in text", asText, object{"username": "ada", "custom:subscribe": "[" + strings.Repeat(`{"channel":"c","topics":["a"]},`, 256) + `{"channel":"c","topics":["a"]}]`}, "more than 256", "", "", ""},
		{"a list of text", asText, object{"username": "ada", "custom:subscribe": []string{reads}}, "not a JSON object", "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			issuer := foreignFile(t, k)
			issuer.Claims = tt.names
			a := newAuthority(t, auth.Options{Issuers: []auth.Issuer{issuer}})
			token := k.token(t, k.header(t), foreignClaims().with(tt.claims))
			if tt.cause != "" {
				mustRefuse(t, a, token, tt.cause)
				return
			}
			for range 2 { // also from the cache
				p := mustAccept(t, a, token)
				if p.Subject != tt.sub || channels(p.Subscribe) != tt.reads || channels(p.Publish) != tt.writes {
					t.Errorf("got %+v", p)
				}
			}
		})
	}
}

func channels(grants schemas.Grants) string {
	var names []string
	for _, grant := range grants {
		names = append(names, string(grant.Channel))
	}
	return strings.Join(names, " ")
}

// An issuer whose tokens have no audience is believed when it says nothing, and not
// when it says somebody else.
func TestAuthority_Authenticate_audienceOptional(t *testing.T) {
	k := newKey(t, auth.EdDSA)
	tests := []struct {
		name     string
		audience string
		optional bool
		aud      any
		cause    string
	}{
		{"wanted and there", "app", false, "app", ""},
		{"wanted and missing", "app", false, nil, "aud is neither"},
		{"optional and there", "app", true, []string{"other", "app"}, ""},
		{"optional and missing", "app", true, nil, ""},
		{"optional and another", "app", true, "other", "aud is not this server"},
		{"optional and null", "app", true, raw("null"), "aud is neither"},
		{"optional and empty", "app", true, []string{}, "aud is not this server"},
		{"none and missing", "", true, nil, ""},
		{"none and there", "", true, "app", "aud is not this server"},
		{"none and empty", "", true, "", "aud is not this server"},
		{"none and a list of nothing", "", true, []string{""}, "aud is not this server"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			issuer := foreignFile(t, k)
			issuer.Audience, issuer.AudienceOptional = tt.audience, tt.optional
			a := newAuthority(t, auth.Options{Issuers: []auth.Issuer{issuer}})
			token := k.token(t, k.header(t), foreignClaims().with(object{"aud": tt.aud}))
			if tt.cause == "" {
				mustAccept(t, a, token)
			} else {
				mustRefuse(t, a, token, tt.cause)
			}
			mustRefuse(t, a, k.token(t, k.header(t), goodClaims().with(object{"aud": nil})), "has no key with kid") // its own tokens always have one
		})
	}
}
