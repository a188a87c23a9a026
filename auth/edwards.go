package auth

import (
	"crypto/ed25519"
	"errors"
	"math/big"
	"slices"
)

// checkPoint refuses what Ed25519 verifies signatures with that nobody has made. For
// a key of small order one signature fits many messages, and whoever knows that needs
// no private key. A key with another spelling would go by another name, and one that
// is no point of the curve verifies nothing.
func checkPoint(key ed25519.PublicKey) error {
	if len(key) != ed25519.PublicKeySize {
		return errors.New("it is not a valid key")
	}
	encoded := slices.Clone([]byte(key))
	slices.Reverse(encoded) // big endian; the first bit is the sign of x
	encoded[0] &= 0x7f
	p := fieldPrime()
	y := new(big.Int).SetBytes(encoded)
	if y.Cmp(p) >= 0 {
		return errors.New("the Ed25519 key is not in its canonical form")
	}
	// Three times twice itself is the neutral element, whose y is 1, for the eight
	// points of small order. The sign of x does not matter to that.
	for range 3 {
		x2, ok := xSquared(y, p)
		if !ok {
			return errors.New("the Ed25519 key is not a point of the curve")
		}
		y = doubled(x2, y, p)
	}
	if y.Cmp(big.NewInt(1)) == 0 {
		return errors.New("the Ed25519 key is of small order")
	}
	return nil
}

// fieldPrime returns 2^255 - 19.
func fieldPrime() *big.Int {
	p := new(big.Int).Lsh(big.NewInt(1), 255)
	return p.Sub(p, big.NewInt(19))
}

// xSquared returns x² of the points with the given y on the curve of RFC 8032,
// section 5.1: -x² + y² = 1 + d x² y² with d = -121665/121666; false if there are
// none.
func xSquared(y, p *big.Int) (*big.Int, bool) {
	d := new(big.Int).ModInverse(big.NewInt(121666), p)
	d.Mul(d, big.NewInt(-121665))
	y2 := new(big.Int).Mul(y, y)
	u := new(big.Int).Sub(y2, big.NewInt(1))
	v := y2.Mul(y2, d)
	v.Add(v, big.NewInt(1)).Mod(v, p) // never 0, since -1/d is no square
	x2 := u.Mul(u, v.ModInverse(v, p))
	x2.Mod(x2, p)
	return x2, big.Jacobi(x2, p) >= 0
}

// doubled returns the y of twice a point: (y² + x²) / (2 + x² - y²).
func doubled(x2, y, p *big.Int) *big.Int {
	y2 := new(big.Int).Mul(y, y)
	above := new(big.Int).Add(y2, x2)
	below := new(big.Int).Sub(x2, y2)
	below.Add(below, big.NewInt(2)).Mod(below, p) // never 0 on the curve
	above.Mul(above, below.ModInverse(below, p))
	return above.Mod(above, p)
}
