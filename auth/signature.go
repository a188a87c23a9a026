package auth

import (
	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// sign returns the signature of input. The key is of the type that fits alg:
// [parsePrivateJWK] has seen to it.
func sign(alg Algorithm, key any, input []byte) ([]byte, error) {
	signer, err := jws.NewSigner(jwa.SignatureAlgorithm(alg))
	if err != nil {
		return nil, err
	}
	return signer.Sign(input, key)
}

// signed reports whether signature is that of input.
//
// Only the library's primitive is used, not its parser: that one reads keys and
// certificates out of the header of a token whose signature is still unknown.
func signed(alg Algorithm, key any, input, signature []byte) bool {
	verifier, err := jws.NewVerifier(jwa.SignatureAlgorithm(alg))
	return err == nil && verifier.Verify(input, signature, key) == nil
}
