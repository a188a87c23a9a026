package auth_test

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/schemas"
)

func TestAuthority_Authenticate_apiKey(t *testing.T) {
	a := newAuthority(t, auth.Options{APIKeys: []string{"first-key", "second-key"}})
	for _, good := range []string{"first-key", "second-key"} {
		p := mustAccept(t, a, good)
		if !p.Admin || !p.ExpiresAt.IsZero() || !p.Subscribe.Allows("any", "topic") || !p.Publish.Allows("any", "topic") {
			t.Errorf("%s: got %+v", good, p)
		}
	}
	for _, bad := range []string{"", "first-ke", "first-key ", "FIRST-KEY", "first-keysecond-key"} {
		mustRefuse(t, a, bad, "")
	}
}

func TestAuthority_Authenticate_everyAlgorithm(t *testing.T) {
	for _, alg := range auth.Algorithms() {
		t.Run(string(alg), func(t *testing.T) {
			k := newKey(t, alg)
			a := authorityOf(t, k.secret(t).with(object{"nbf": 1}))
			header := k.header(t)
			if alg == auth.HS256 {
				delete(header, "kid") // one key: none needed
			}
			claims := goodClaims().with(object{"publish": []object{{"channel": "pipeline:run_42", "topics": []string{"approval", "$run"}}}})
			p := mustAccept(t, a, k.token(t, header, claims))
			want := &auth.Principal{
				Subject: "user-7", TokenID: "token-1", Issuer: "sluice", ExpiresAt: time.Unix(claims["exp"].(int64), 0),
				Subscribe: schemas.Grants{{Channel: "pipeline:*", Topics: []string{"*"}}},
				Publish:   schemas.Grants{{Channel: "pipeline:run_42", Topics: []string{"approval", "$run"}}},
			}
			if !reflect.DeepEqual(p, want) {
				t.Errorf("got %+v, want %+v", p, want)
			}
		})
	}
}

// unsigned makes a token with a signature of the test's choice.
func unsigned(t testing.TB, header, claims any, sign func(input []byte) []byte) string {
	t.Helper()
	input := b64(bytesOf(t, header)) + "." + b64(bytesOf(t, claims))
	return input + "." + b64(sign([]byte(input)))
}

func TestAuthority_Authenticate_algNone(t *testing.T) {
	k := newKey(t, auth.EdDSA)
	a := authorityOf(t, k.secret(t))
	for _, none := range []string{"none", "None", "NONE", "nOnE", "none ", ""} {
		header := k.header(t).with(object{"alg": none})
		mustRefuse(t, a, unsigned(t, header, goodClaims(), func([]byte) []byte { return nil }), "is not EdDSA")
		mustRefuse(t, a, unsigned(t, header.with(object{"kid": nil}), goodClaims(), func([]byte) []byte { return nil }), "is not EdDSA")
		mustRefuse(t, a, k.token(t, header, goodClaims()), "is not EdDSA")
	}
	mustRefuse(t, a, k.token(t, k.header(t).with(object{"alg": nil}), goodClaims()), "is not EdDSA")
}

// An attacker knows the public key, and hopes that its bytes pass for a secret.
func TestAuthority_Authenticate_publicKeyAsSecret(t *testing.T) {
	k := newKey(t, auth.RS256)
	a := authorityOf(t, k.secret(t))
	der, err := x509.MarshalPKIXPublicKey(k.private.(crypto.Signer).Public())
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string][]byte{
		"PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
		"DER": der,
		"JWK": marshal(t, k.public(t)),
		"set": a.JWKS(),
	}
	for name, secret := range secrets {
		t.Run(name, func(t *testing.T) {
			sign := func(input []byte) []byte { return hmacSHA256(secret, input) }
			mustRefuse(t, a, unsigned(t, k.header(t).with(object{"alg": "HS256"}), goodClaims(), sign), "is not RS256")
			mustRefuse(t, a, unsigned(t, k.header(t), goodClaims(), sign), "signature is wrong")
		})
	}
}

func TestAuthority_Authenticate_algIsPinnedToTheKey(t *testing.T) {
	k := newKey(t, auth.RS256)
	a := authorityOf(t, k.secret(t))
	header := k.header(t).with(object{"alg": auth.PS256})
	mustRefuse(t, a, k.tokenAs(t, auth.PS256, header, goodClaims()), "is not RS256")
	mustRefuse(t, a, k.tokenAs(t, auth.PS256, k.header(t), goodClaims()), "signature is wrong")
	mustAccept(t, a, k.token(t, k.header(t), goodClaims()))
}

func TestAuthority_Authenticate_header(t *testing.T) {
	k, other := newKey(t, auth.EdDSA), newKey(t, auth.EdDSA)
	a := authorityOf(t, k.secret(t))
	tests := []struct {
		name  string
		more  object
		cause string // "": accepted
	}{
		{"no typ", object{"typ": nil}, ""},
		{"typ JWT", object{"typ": "jwt"}, ""},
		{"typ in capitals", object{"typ": "AT+JWT"}, ""},
		{"typ of a whole media type", object{"typ": "application/at+jwt"}, ""},
		{"typ of a whole media type in capitals", object{"typ": "Application/AT+JWT"}, ""},
		{"typ application/JWT", object{"typ": "application/JWT"}, ""},
		{"typ of another media type", object{"typ": "application/dpop+jwt"}, "typ is neither"},
		{"typ of another top-level type", object{"typ": "text/at+jwt"}, "typ is neither"},
		{"typ of two media types", object{"typ": "application/application/at+jwt"}, "typ is neither"},
		{"typ of a prefix alone", object{"typ": "application/"}, "typ is neither"},
		{"typ with a parameter", object{"typ": "application/at+jwt; a=b"}, "typ is neither"},
		{"typ null", object{"typ": raw("null")}, "typ: it is not a string"},
		{"one key, no kid", object{"kid": nil}, ""},
		{"typ of something else", object{"typ": "dpop+jwt"}, "typ is neither"},
		{"typ empty", object{"typ": ""}, "typ is neither"},
		{"typ a list", object{"typ": []string{"JWT"}}, "typ: it is not a string"},
		{"unknown kid", object{"kid": other.kid(t)}, "has no key with kid"},
		{"kid empty", object{"kid": ""}, "kid is empty"},
		{"kid a number", object{"kid": 1}, "kid: it is not a string"},
		{"crit", object{"crit": []string{"exp"}, "exp": 1}, "crit is not supported"},
		{"crit empty", object{"crit": []string{}}, "crit is not supported"},
		{"crit null", object{"crit": json.RawMessage("null")}, "crit is not supported"},
		{"b64 false", object{"b64": false}, "b64 is not supported"},
		{"b64 true", object{"b64": true}, "b64 is not supported"},
		{"jwk is ignored", object{"jwk": other.public(t)}, ""},
		{"alg a list", object{"alg": []string{"EdDSA"}}, "alg: it is not a string"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			token := k.token(t, k.header(t).with(tt.more), goodClaims())
			if tt.cause == "" {
				mustAccept(t, a, token)
				return
			}
			mustRefuse(t, a, token, tt.cause)
		})
	}
}

// The attacker's key signs, and the token brings it along.
func TestAuthority_Authenticate_embeddedKey(t *testing.T) {
	k, attacker := newKey(t, auth.EdDSA), newKey(t, auth.EdDSA)
	a := authorityOf(t, k.secret(t))
	for _, kid := range []any{k.kid(t), attacker.kid(t), nil} {
		for name, more := range map[string]object{
			"jwk": {"jwk": attacker.public(t)},
			"jku": {"jku": "https://attacker.test/jwks.json"},
			"x5u": {"x5u": "https://attacker.test/cert.pem"},
			"x5c": {"x5c": []string{"AAAA"}},
		} {
			t.Run(fmt.Sprint(name, " kid ", kid), func(t *testing.T) {
				header := attacker.header(t).with(more).with(object{"kid": kid})
				mustRefuse(t, a, attacker.token(t, header, goodClaims()), "token:")
			})
		}
	}
}

func TestAuthority_Authenticate_kidNeededWhenThereIsAChoice(t *testing.T) {
	k, second := newKey(t, auth.EdDSA), newKey(t, auth.EdDSA)
	a := authorityOf(t, k.secret(t), second.secret(t).with(object{"nbf": time.Now().Add(time.Hour).Unix()}))
	mustRefuse(t, a, k.token(t, k.header(t).with(object{"kid": nil}), goodClaims()), "has no key with kid")
	mustAccept(t, a, k.token(t, k.header(t), goodClaims()))
	mustAccept(t, a, second.token(t, second.header(t), goodClaims()))
}

func TestAuthority_Authenticate_form(t *testing.T) {
	k := newKey(t, auth.EdDSA)
	a := authorityOf(t, k.secret(t))
	good := k.token(t, k.header(t), goodClaims())
	mustAccept(t, a, good)
	parts := strings.Split(good, ".")
	flattened := marshal(t, object{"protected": parts[0], "payload": parts[1], "signature": parts[2]})
	general := marshal(t, object{"payload": parts[1], "signatures": []object{{"protected": parts[0], "signature": parts[2]}}})
	tests := []struct{ name, token string }{
		{"flattened JSON", string(flattened)},
		{"general JSON", string(general)},
		{"two parts", parts[0] + "." + parts[1]},
		{"four parts", good + ".AAAA"},
		{"five parts", good + ".AAAA.AAAA"},
		{"no signature", parts[0] + "." + parts[1] + "."},
		{"empty parts", ".."},
		{"padding", good + "=="},
		{"line break inside", parts[0] + "." + parts[1] + ".\n" + parts[2]},
		{"line break at the end", good + "\n"},
		{"blank before", " " + good},
		{"standard alphabet", parts[0] + "." + parts[1] + "." + strings.Repeat("+/", 43)},
		{"another spelling of the last byte", parts[0] + "." + parts[1] + "." + otherSpelling(parts[2])},
		{"too long", good + strings.Repeat("A", auth.MaxTokenBytes)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { mustRefuse(t, a, tt.token, "") })
	}
}

// otherSpelling changes bits of the last character that stand for nothing.
func otherSpelling(s string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, s[len(s)-1])
	return s[:len(s)-1] + string(alphabet[last^1])
}

func TestAuthority_Authenticate_tokenSize(t *testing.T) {
	k := newKey(t, auth.EdDSA)
	a := authorityOf(t, k.secret(t))
	sized := func(pad int) string {
		return k.token(t, k.header(t), goodClaims().with(object{"pad": strings.Repeat("x", pad)}))
	}
	pad := 0
	for len(sized(pad)) < auth.MaxTokenBytes {
		pad += max(1, (auth.MaxTokenBytes-len(sized(pad)))*3/4)
	}
	if len(sized(pad)) == auth.MaxTokenBytes {
		mustAccept(t, a, sized(pad))
	}
	mustAccept(t, a, sized(pad-2))
	mustRefuse(t, a, sized(pad+2), "more than 16384 bytes")
}

func TestAuthority_Authenticate_flippedBytes(t *testing.T) {
	k := newKey(t, auth.ES256)
	a := authorityOf(t, k.secret(t))
	good := k.token(t, k.header(t), goodClaims())
	mustAccept(t, a, good)
	for i := range good {
		bad := []byte(good)
		bad[i] ^= 1
		mustRefuse(t, a, string(bad), "")
	}
}
