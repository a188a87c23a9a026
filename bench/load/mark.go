package load

import "bytes"

// MessageBytes is the length of a message's data.
const MessageBytes = 200

const (
	prefix = `{"b":"`
	suffix = `"}`

	// Offsets in a mark, ~PPPP~SSSSSSSS~TTTTTTTTTTTTTTTT~.
	publisherAt = 1
	seqAt       = 6
	sentAt      = 15
	markBytes   = 32
)

// Mark is what a message carries: who sent it, as which of its messages, and when.
type Mark struct {
	Publisher uint16
	Seq       uint32 // of the publisher in the channel, from 0
	Sent      int64  // nanoseconds of the client's [Clock]
}

// AppendMessage appends a message's data, JSON of [MessageBytes] bytes:
// {"b":"~PPPP~SSSSSSSS~TTTTTTTTTTTTTTTT~xxxx…"} with the numbers in hexadecimal.
func AppendMessage(b []byte, m Mark) []byte {
	end := len(b) + MessageBytes - len(suffix)
	b = append(b, prefix...)
	at := len(b)
	b = append(b, "~0000~00000000~0000000000000000~"...)
	m.put(b[at:])
	for len(b) < end {
		b = append(b, 'x')
	}
	return append(b, suffix...)
}

// put writes the numbers into a mark's place, which has its separators already.
func (m Mark) put(b []byte) {
	putHex(b[publisherAt:publisherAt+4], uint64(m.Publisher))
	putHex(b[seqAt:seqAt+8], uint64(m.Seq))
	putHex(b[sentAt:sentAt+16], uint64(m.Sent))
}

func putHex(b []byte, v uint64) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = "0123456789abcdef"[v&15]
		v >>= 4
	}
}

// parseMark reads the mark at the start of b, which has markBytes or more.
func parseMark(b []byte) (Mark, bool) {
	b = b[:markBytes]
	if b[0] != '~' || b[5] != '~' || b[14] != '~' || b[31] != '~' {
		return Mark{}, false
	}
	p, bad1 := hex(b[publisherAt : publisherAt+4])
	s, bad2 := hex(b[seqAt : seqAt+8])
	hi, bad3 := hex(b[sentAt : sentAt+8])
	lo, bad4 := hex(b[sentAt+8 : sentAt+16])
	if (bad1|bad2|bad3|bad4)&0x80 != 0 {
		return Mark{}, false
	}
	return Mark{Publisher: uint16(p), Seq: s, Sent: int64(uint64(hi)<<32 | uint64(lo))}, true
}

// hex reads up to eight digits; the second result has its highest bit set if one is none.
func hex(b []byte) (v uint32, bad byte) {
	for _, c := range b {
		d := digits[c]
		bad |= d
		v = v<<4 | uint32(d&15)
	}
	return v, bad
}

// Scanner finds marks in the body of a stream that comes in pieces, wherever it is split.
// The zero value is ready. It is for one goroutine.
type Scanner struct {
	held  [markBytes]byte // the beginning of a mark at the end of the last piece
	n     int
	Stray int // times that the separator stood where no mark begins
}

// Scan appends the marks that end in b to marks.
func (s *Scanner) Scan(b []byte, marks []Mark) []Mark {
	for s.n > 0 {
		n := copy(s.held[s.n:], b)
		b, s.n = b[n:], s.n+n
		if s.n < markBytes {
			return marks
		}
		m, ok := parseMark(s.held[:])
		if ok {
			marks, s.n = append(marks, m), 0
			break
		}
		s.skip()
	}
	for {
		i := bytes.IndexByte(b, '~')
		if i < 0 {
			return marks
		}
		b = b[i:]
		if len(b) < markBytes {
			s.n = copy(s.held[:], b)
			return marks
		}
		m, ok := parseMark(b)
		if !ok {
			s.Stray++
			b = b[1:]
			continue
		}
		marks, b = append(marks, m), b[markBytes:]
	}
}

// skip drops the held separator, which began no mark, and what is before the next one.
func (s *Scanner) skip() {
	s.Stray++
	i := bytes.IndexByte(s.held[1:s.n], '~')
	if i < 0 {
		s.n = 0
		return
	}
	s.n = copy(s.held[:], s.held[1+i:s.n])
}
