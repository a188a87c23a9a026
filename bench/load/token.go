package load

import "bytes"

// TokenBytes is the length of a token, as long as those of a model usually are with the
// space after them.
const TokenBytes = 8

// AppendToken appends the n-th token of a text, which a [TokenScanner] finds: ~ and seven
// hexadecimal digits.
func AppendToken(b []byte, n uint32) []byte {
	b = append(b, "~0000000"...)
	putHex(b[len(b)-TokenBytes+1:], uint64(n))
	return b
}

// AppendWord appends the n-th word of a text that does not repeat itself, so that nothing
// can compress it: seven letters and a space.
func AppendWord(b []byte, n uint32) []byte {
	v := (uint64(n) + 1) * 0x9e3779b97f4a7c15 // of SplitMix64
	v = (v ^ v>>30) * 0xbf58476d1ce4e5b9
	v ^= v >> 27
	for range TokenBytes - 1 {
		b = append(b, 'a'+byte(v%26))
		v /= 26
	}
	return append(b, ' ')
}

// TokenScanner finds tokens in the body of a stream that comes in pieces, wherever it is
// split. The zero value is ready. It is for one goroutine.
type TokenScanner struct {
	held  [TokenBytes]byte // the beginning of a token at the end of the last piece
	n     int
	Stray int // times that ~ stood where no token begins
}

// Scan appends the numbers of the tokens that end in b to tokens.
func (s *TokenScanner) Scan(b []byte, tokens []uint32) []uint32 {
	if s.n > 0 {
		n := copy(s.held[s.n:], b)
		if s.n += n; s.n < TokenBytes {
			return tokens
		}
		b, s.n = b[n:], 0
		tokens = s.take(s.held[:], tokens)
	}
	for {
		i := bytes.IndexByte(b, '~')
		if i < 0 {
			return tokens
		}
		if b = b[i:]; len(b) < TokenBytes {
			s.n = copy(s.held[:], b)
			return tokens
		}
		tokens = s.take(b, tokens)
		b = b[TokenBytes:]
	}
}

// take reads the token at the start of b.
func (s *TokenScanner) take(b []byte, tokens []uint32) []uint32 {
	n, bad := hex(b[1:TokenBytes])
	if bad&0x80 != 0 {
		s.Stray++
		return tokens
	}
	return append(tokens, n)
}
