package auth_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/auth"
)

// leftOut starts a server whose issuer publishes a good key and the given one, whose
// kid must be "bad", and returns why that was left out; "" if it was not.
func leftOut(t *testing.T, bad object) (a *auth.Authority, why string) {
	t.Helper()
	good := newKey(t, auth.EdDSA)
	issuer := foreignFile(t)
	issuer.JWKSFile = keyFile(t, good.published(t), bad)
	var log bytes.Buffer
	a = newAuthority(t, auth.Options{Issuers: []auth.Issuer{issuer}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	mustAccept(t, a, good.token(t, good.header(t), foreignClaims()))
	_, why, _ = strings.Cut(log.String(), "error=")
	return a, strings.TrimSpace(why)
}

// A published key is used for what it is published for (RFC 7517, sections 4.2, 4.3).
func TestAuthority_foreignSet_use(t *testing.T) {
	for _, tt := range []struct {
		name  string
		more  object
		cause string // "": it verifies
	}{
		{"nothing said", object{"use": nil}, ""},
		{"use alone", object{}, ""},
		{"verify", object{"use": nil, "key_ops": []string{"verify"}}, ""},
		{"both, and they agree", object{"key_ops": []string{"verify"}}, ""},
		{"to sign and to verify", object{"key_ops": []string{"sign", "verify"}}, ""},
		{"an operation of somebody's own besides", object{"use": nil, "key_ops": []string{"x", "verify"}}, ""},
		{"to sign alone", object{"use": nil, "key_ops": []string{"sign"}}, "it is not to verify with"},
		{"to sign alone, for signatures", object{"key_ops": []string{"sign"}}, "it is not to verify with"},
		{"to derive", object{"use": nil, "key_ops": []string{"deriveKey", "deriveBits"}}, "it is not to verify with"},
		{"in capitals", object{"use": nil, "key_ops": []string{"VERIFY"}}, "it is not to verify with"},
		{"for nothing", object{"use": nil, "key_ops": []string{}}, "it is not to verify with"},
		{"twice", object{"use": nil, "key_ops": []string{"verify", "verify"}}, "stands twice"},
		{"no list", object{"use": nil, "key_ops": "verify"}, "key_ops: it is not a list"},
		{"null", object{"use": nil, "key_ops": raw("null")}, "key_ops: it is not a list"},
		{"a number in it", object{"use": nil, "key_ops": raw(`["verify",1]`)}, "key_ops: it is not a string"},
		{"against its use", object{"key_ops": []string{"verify", "encrypt"}}, "contradicts its use"},
		{"for encryption", object{"use": "enc"}, "use is not"},
		{"for encryption, to verify", object{"use": "enc", "key_ops": []string{"verify"}}, "use is not"},
		{"use in capitals", object{"use": "SIG"}, "use is not"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := newKey(t, auth.ES256)
			a, why := leftOut(t, k.published(t).with(object{"kid": "bad"}).with(tt.more))
			token := k.token(t, k.header(t).with(object{"kid": "bad"}), foreignClaims())
			if tt.cause == "" {
				mustAccept(t, a, token)
				return
			}
			mustRefuse(t, a, token, "has no key with kid")
			if !strings.Contains(why, tt.cause) {
				t.Errorf("left out for %q, want %q", why, tt.cause)
			}
		})
	}
}

// The same of keys that are to sign.
func TestLoadKeyring_use(t *testing.T) {
	k := newKey(t, auth.EdDSA)
	for _, good := range []object{{"key_ops": []string{"sign"}}, {"use": "sig", "key_ops": []string{"verify", "sign"}}} {
		loadKeys(t, keyFile(t, k.secret(t).with(good)))
	}
	for _, bad := range []object{
		{"key_ops": []string{"verify"}},
		{"key_ops": []string{}},
		{"key_ops": "sign"},
		{"use": "sig", "key_ops": []string{"sign", "unwrapKey"}},
		{"use": "enc", "key_ops": []string{"sign"}},
	} {
		if ring, err := auth.LoadKeyring(keyFile(t, k.secret(t).with(bad))); err == nil {
			t.Errorf("%v: loaded %v", bad, ring)
		}
	}
}

// Keys for which somebody without a private key could make signatures, or that are
// not what they seem.
func TestAuthority_foreignSet_weakKeys(t *testing.T) {
	ed, ec, rsa := newKey(t, auth.EdDSA), newKey(t, auth.ES256), newKey(t, auth.RS256)
	modulus := new(big.Int)
	modulus.SetBytes(unb64(t, rsa.public(t)["n"].(string)))
	type attempt struct {
		name, cause string
		jwk         object
	}
	tests := []attempt{
		{"RSA of 2047 bits", "the RSA modulus has 2047 bits", rsa.published(t).with(object{"n": b64(new(big.Int).Rsh(modulus, 1).Bytes())})},
		{"RSA of 8193 bits", "the RSA modulus has 8193 bits", rsa.published(t).with(object{"n": b64(append([]byte{1}, bytes.Repeat([]byte{1}, 1024)...))})},
		{"RSA with e = 1", "not a valid key", rsa.published(t).with(object{"e": "AQ"})},
		{"RSA with e = 0", "not a valid key", rsa.published(t).with(object{"e": "AA"})},
		{"RSA with an even e", "not a valid key", rsa.published(t).with(object{"e": "AQAA"})},
		{"RSA with e = 2^64 + 65537", "not a valid key", rsa.published(t).with(object{"e": b64([]byte{1, 0, 0, 0, 0, 0, 1, 0, 1})})},
		{"RSA with e = 2^32 + 65537", "not a valid key", rsa.published(t).with(object{"e": b64([]byte{1, 0, 1, 0, 1})})},
		{"RSA with an even n", "not a valid key", rsa.published(t).with(object{"n": b64(new(big.Int).Xor(modulus, big.NewInt(1)).Bytes())})},
		{"RSA with a certificate alone", "not a valid key", object{"kty": "RSA", "alg": "RS256", "use": "sig", "x5c": []string{"MIIB"}}},
		{"EC off the curve", "not a valid key", ec.published(t).with(object{"y": ec.public(t)["x"]})},
		{"EC at infinity", "not a valid key", ec.published(t).with(object{"x": b64(make([]byte, 32)), "y": b64(make([]byte, 32))})},
		{"EC without y", "not a valid key", ec.published(t).with(object{"y": nil})},
		{"EC of another curve", "is not allowed", ec.published(t).with(object{"crv": "P-384"})},
		{"Ed25519 for Ed448", "is not allowed", ed.published(t).with(object{"crv": "Ed448"})},
		{"Ed25519 too long", "not a valid key", ed.published(t).with(object{"x": b64(make([]byte, 33))})},
		{"Ed25519 off the curve", "not a point of the curve", ed.published(t).with(object{"x": b64(append([]byte{2}, make([]byte, 31)...))})},
		{"a secret", "private part was published", object{"kty": "oct", "alg": "HS256", "k": b64(make([]byte, 32))}},
		{"a secret that has an allowed alg", "private part was published", object{"kty": "oct", "alg": "EdDSA", "k": b64(make([]byte, 32))}},
	}
	for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		tests = append(tests, attempt{"with " + private, "private part was published", rsa.published(t).with(object{private: "AQ"})})
	}
	for _, point := range smallOrder() {
		for _, sign := range []byte{0, 0x80} {
			x := unhex(t, point)
			x[31] |= sign
			tests = append(tests, attempt{fmt.Sprintf("Ed25519 of small order %x", x), "Ed25519 key is ", ed.published(t).with(object{"x": b64(x)})})
		}
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, why := leftOut(t, tt.jwk.with(object{"kid": "bad"}))
			if !strings.Contains(why, tt.cause) {
				t.Errorf("left out for %q, want %q", why, tt.cause)
			}
			// The signature of nobody: R is the neutral element and S is 0.
			nobody := append([]byte{1}, make([]byte, 63)...)
			forged := unsigned(t, object{"alg": "EdDSA", "kid": "bad"}, foreignClaims(), func([]byte) []byte { return nobody })
			mustRefuse(t, a, forged, "has no key with kid")
		})
	}
	for range 100 { // and none is mistaken for one of them
		k := newKey(t, auth.EdDSA)
		a, why := leftOut(t, k.published(t).with(object{"kid": "bad"}))
		if why != "" {
			t.Fatalf("%v was left out for %s", k.public(t), why)
		}
		mustAccept(t, a, k.token(t, k.header(t).with(object{"kid": "bad"}), foreignClaims()))
	}
}

// smallOrder returns the encodings of y of all points of Ed25519 whose order divides
// 8, also those that are not reduced.
func smallOrder() []string {
	return []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
