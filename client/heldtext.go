package client

import (
	"context"
	"io"
	"sync"
	"unicode/utf8"
)

// heldText is the end of a text that is being published, and the attempt that it is published
// in. It is what a later connection can still send.
//
// Text is kept beyond its confirmation for as long as there is room: a server that crashes
// may lose what it has confirmed, or the whole text. So a text up to MaxTextBytes can always
// begin again.
type heldText struct {
	keep bool // static: text can be sent again, so the server must confirm it

	mu        sync.Mutex // guards all below
	attempt   int64
	bytes     []byte        // valid UTF-8, at most MaxTextBytes
	start     int64         // offset of the first byte
	sent      int64         // offset up to which the latest request has been given the text
	confirmed int64         // offset up to which the server has the text
	end       error         // io.EOF when the text has ended, or why it failed; nil before
	told      bool          // a body has passed on that the text failed
	changed   chan struct{} // closed and replaced at each change
}

func newHeldText(attempt int64, keep bool) *heldText {
	return &heldText{keep: keep, attempt: attempt, changed: make(chan struct{})}
}

// wake tells those who wait that something has changed. mu is held.
func (t *heldText) wake() {
	close(t.changed)
	t.changed = make(chan struct{})
}

func (t *heldText) currentAttempt() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.attempt
}

// holds reports whether the text is held from the offset on.
func (t *heldText) holds(offset int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return offset >= t.start
}

// failed returns why the text failed, once all before that was sent.
func (t *heldText) failed() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.told {
		return t.end
	}
	return nil
}

// free returns how much can be added, and a channel that is closed at the next change.
func (t *heldText) free() (int, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return MaxTextBytes - int(t.limit()-t.confirmed), t.changed
}

// limit returns the offset after the last byte. mu is held.
func (t *heldText) limit() int64 { return t.start + int64(len(t.bytes)) }

// add appends a piece, for which there must be room, and notes the end of the text.
func (t *heldText) add(piece []byte, end error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.bytes)+len(piece) > MaxTextBytes {
		// All that can go, so that a long text is not moved for each piece.
		t.bytes = t.bytes[:copy(t.bytes, t.bytes[t.confirmed-t.start:])]
		t.start = t.confirmed
	}
	t.bytes = append(t.bytes, piece...)
	t.end = end
	t.wake()
}

// confirm notes how far the server is, and reports whether that is news. Text of an attempt
// that cannot go on is not confirmed: it must be sent again.
func (t *heldText) confirm(status textStatus) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	offset := min(status.offset, t.limit())
	if status.attempt != t.attempt || status.state == textAborted || offset <= t.confirmed {
		return false
	}
	t.confirmed = offset
	t.wake()
	return true
}

// resume returns the offset at which to go on. After an attempt that cannot go on, that is 0
// in the next one. It returns [ErrTextLost].
//
// The offset is that of the last character that the server has, which it skips. Without it,
// a text that is silent would not be taken up again before its next piece.
func (t *heldText) resume(status textStatus) (offset int64, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case status.attempt > t.attempt:
		return t.start, nil // the server's refusal says it best
	case status.attempt == t.attempt && status.state == textAborted:
		t.attempt++
	case status.attempt == t.attempt:
		offset = min(status.offset, t.limit())
	}
	if offset < t.start {
		return 0, ErrTextLost
	}
	t.sent, t.confirmed = offset, offset
	t.wake()
	for offset > t.start {
		offset--
		if utf8.RuneStart(t.bytes[offset-t.start]) {
			break
		}
	}
	return offset, nil
}

// unconfirmed returns how much has been sent, and 0 if the server is known to have all of it.
// The end of the text counts as one more byte.
func (t *heldText) unconfirmed() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.end != nil && t.sent == t.limit():
		return t.sent + 1
	case t.confirmed >= t.sent:
		return 0
	}
	return t.sent
}

// stalled reports whether a server that has not moved for a while should have, since so much
// was sent. One that does not know the attempt need not: a proxy may hold the request back
// until it is complete. But then a text that is too long for that cannot go on.
func (t *heldText) stalled(status textStatus, sent int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if status.attempt < t.attempt {
		return t.limit()-t.confirmed > MaxTextBytes-int64(pieceBytes)
	}
	return status.attempt > t.attempt || status.offset < sent
}

// await waits until there is text at the offset, or the text has ended there.
func (t *heldText) await(ctx context.Context, offset int64) error {
	for {
		t.mu.Lock()
		ready, changed := t.end != nil || offset < t.limit(), t.changed
		t.mu.Unlock()
		if ready {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// read copies text at the offset to p. Without text or an end it returns a channel that is
// closed at the next change.
func (t *heldText) read(p []byte, offset int64) (n int, changed <-chan struct{}, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if offset < t.start {
		return 0, nil, ErrTextLost // the server has it, from elsewhere: it must be asked again
	}
	n = copy(p, t.bytes[offset-t.start:])
	t.sent = max(t.sent, offset+int64(n))
	switch {
	case n > 0 && !t.keep:
		t.confirmed = offset + int64(n)
		t.wake()
	case n == 0 && t.end != nil:
		t.told = t.end != io.EOF //nolint:errorlint // only add sets it
		return 0, nil, t.end
	}
	return n, t.changed, nil
}
