package auth

import (
	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// sign returns the signature of input. [parsePrivateJWK] guarantees that the type of the key
// fits alg.
func sign(alg Algorithm, key any, input []byte) ([]byte, error) {
	signer, err := jws.NewSigner(jwa.SignatureAlgorithm(alg))
	if err != nil {
		return nil, err
	}
	return signer.Sign(input, key)
}

// signed reports whether signature is a signature of input.
//
// It uses the primitive of the library, not its parser, which would read keys and
// certificates from the header of a token that is not verified yet.
func signed(alg Algorithm, key any, input, signature []byte) bool {
	verifier, err := jws.NewVerifier(jwa.SignatureAlgorithm(alg))
	return err == nil && verifier.Verify(input, signature, key) == nil
}
