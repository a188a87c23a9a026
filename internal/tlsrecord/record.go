package tlsrecord

import "slices"

// Sealer protects what one side of a connection sends. It is not safe for concurrent
// use.
type Sealer struct {
	keys

	next uint64 // number of the next record
}

// NewSealer returns a sealer for a traffic secret under which so many records were
// protected before. It does not keep the secret. Errors: [ErrSuite].
func NewSealer(suite uint16, secret []byte, before uint64) (*Sealer, error) {
	s := &Sealer{next: before}
	if err := s.derive(suite, secret); err != nil {
		return nil, err
	}
	return s, nil
}

// Seal appends the record that carries p, which has at most [MaxPlaintext] bytes, to dst.
// The record has len(p) + [Overhead] bytes. If they are not all sent, nothing that is
// sealed later can be. Errors: [ErrTooLong] and [ErrSpent], with dst as it was.
func (s *Sealer) Seal(dst []byte, c Content, p []byte) ([]byte, error) {
	switch {
	case len(p) > MaxPlaintext:
		return dst, ErrTooLong
	case s.next >= MaxRecords:
		return dst, ErrSpent
	}
	number := s.next
	s.next++
	start, length := len(dst), len(p)+1+tagLen
	dst = slices.Grow(dst, HeaderLen+length)
	dst = append(dst, byte(ApplicationData), 3, 3, byte(length>>8), byte(length))
	body := len(dst)
	dst = append(dst, p...)
	dst = append(dst, byte(c))
	return s.aead.Seal(dst[:body], s.nonceOf(number), dst[body:], dst[start:body]), nil
}

// CloseNotify appends the record that says that nothing more is sent (section 6.1).
// Error: [ErrSpent].
func (s *Sealer) CloseNotify(dst []byte) ([]byte, error) {
	const warning, closeNotify = 1, 0
	return s.Seal(dst, Alert, []byte{warning, closeNotify})
}

// Spent reports whether only a few records may still be protected: enough to end what
// is sent in good order, and not for more.
func (s *Sealer) Spent() bool { return s.next >= MaxRecords-reserve }

// Opener opens the records of one direction, in their order. It is not safe for
// concurrent use.
type Opener struct {
	keys

	next uint64
}

// NewOpener returns an opener that expects the record that follows so many others. It
// does not keep the secret. Errors: [ErrSuite].
func NewOpener(suite uint16, secret []byte, before uint64) (*Opener, error) {
	o := &Opener{next: before}
	if err := o.derive(suite, secret); err != nil {
		return nil, err
	}
	return o, nil
}

// Open returns what the first record in b carries, of what kind that is, and the bytes
// after the record. Of an incomplete record it returns nothing, and no error: c is 0.
// Error: [ErrRecord], after which it still expects the record that it expected.
func (o *Opener) Open(b []byte) (p []byte, c Content, rest []byte, err error) {
	length, whole := Length(b)
	if !whole {
		return nil, 0, nil, nil
	}
	header, sealed := b[:HeaderLen], b[HeaderLen:length]
	if Content(header[0]) != ApplicationData {
		return nil, 0, nil, ErrRecord
	}
	p, err = o.aead.Open(nil, o.nonceOf(o.next), sealed, header)
	if err != nil {
		return nil, 0, nil, ErrRecord
	}
	o.next++
	for len(p) > 0 && p[len(p)-1] == 0 { // padding (section 5.4)
		p = p[:len(p)-1]
	}
	if len(p) == 0 {
		return nil, 0, nil, ErrRecord
	}
	return p[:len(p)-1], Content(p[len(p)-1]), b[length:], nil
}

// Skip makes the opener expect the record after the one that it expects.
func (o *Opener) Skip() { o.next++ }

// Next returns how many records come before the one that the opener expects.
func (o *Opener) Next() uint64 { return o.next }

// Length returns the length of the record at the beginning of b with its header, and
// whether b has all of it. Of less than a header it returns 0.
func Length(b []byte) (n int, whole bool) {
	if len(b) < HeaderLen {
		return 0, false
	}
	n = HeaderLen + int(b[3])<<8 + int(b[4])
	return n, len(b) >= n
}

// LooksLikeAlert reports whether b begins with a protected record that carries two bytes,
// as an alert does. What it is cannot be seen without the keys of the other side.
func LooksLikeAlert(b []byte) bool {
	n, _ := Length(b)
	return n == Overhead+2 && Content(b[0]) == ApplicationData
}
