package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
)

// publicJWK is one key of the published set. It has no field that could hold a
// secret.
type publicJWK struct {
	KeyType   string    `json:"kty"`
	Curve     string    `json:"crv,omitempty"`
	X         string    `json:"x,omitempty"`
	Y         string    `json:"y,omitempty"`
	N         string    `json:"n,omitempty"`
	E         string    `json:"e,omitempty"`
	KeyID     string    `json:"kid"`
	Algorithm Algorithm `json:"alg"`
	Use       string    `json:"use"`
}

// publicSet returns the JWK set (RFC 7517) of the keys that may be published.
func publicSet(keys []*signingKey) ([]byte, error) {
	set := struct {
		Keys []publicJWK `json:"keys"`
	}{Keys: []publicJWK{}}
	for _, key := range keys {
		if key.alg.symmetric() {
			continue
		}
		public, err := publish(&key.verifyingKey)
		if err != nil {
			return nil, err
		}
		set.Keys = append(set.Keys, public)
	}
	return json.Marshal(set)
}

func publish(key *verifyingKey) (publicJWK, error) {
	encode := base64.RawURLEncoding.EncodeToString
	public := publicJWK{KeyID: key.kid, Algorithm: key.alg, Use: "sig"}
	public.KeyType, public.Curve = key.alg.keyType()
	switch material := key.key.(type) {
	case ed25519.PublicKey:
		public.X = encode(material)
	case *ecdsa.PublicKey:
		point, err := material.Bytes() // 4, x, y
		if err != nil {
			return publicJWK{}, err
		}
		half := 1 + len(point)/2
		public.X, public.Y = encode(point[1:half]), encode(point[half:])
	case *rsa.PublicKey:
		public.N = encode(material.N.Bytes())
		public.E = encode(big.NewInt(int64(material.E)).Bytes())
	}
	return public, nil
}
