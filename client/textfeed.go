package client

import (
	"context"
	"io"
	"time"
	"unicode/utf8"
)

const (
	// readBytes is how much of a text is read at a time.
	readBytes = 8 << 10
	// pieceBytes is the most that becomes of it: U+FFFD has three bytes.
	pieceBytes = len("\uFFFD") * (readBytes + utf8.UTFMax)
	// minAsk is the shortest time between two questions how far the server is.
	minAsk = 5 * time.Millisecond
)

// fill reads the text until it ends, never more than can be held.
func (u *upload) fill(ctx context.Context, text io.Reader) {
	buf := make([]byte, readBytes)
	var part []byte // of a character
	for u.room(ctx) {
		n, err := text.Read(buf)
		piece := append(part, buf[:n]...)
		whole := len(piece)
		if err == nil {
			whole -= partial(piece)
		}
		part = append([]byte(nil), piece[whole:]...)
		if whole > 0 || err != nil {
			u.text.add(valid(piece[:whole]), err)
		}
		if err != nil {
			return
		}
	}
}

// room waits until a piece can be added, and returns false when ctx has ended. Once there is
// no room it waits until half is free, so that the server is asked once for many pieces.
func (u *upload) room(ctx context.Context) bool {
	free, _ := u.text.free()
	if free >= pieceBytes {
		return ctx.Err() == nil
	}
	for wait := minAsk; ctx.Err() == nil; wait = min(2*wait, maxWait) {
		if u.ask(ctx) {
			wait = minAsk
		}
		free, changed := u.text.free()
		if free >= MaxTextBytes/2 {
			return true
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-time.After(wait):
		}
	}
	return false
}

// ask asks the server how far it is, and reports whether it has moved. Any failure is one of
// the connection that sends, too, which acts on it.
func (u *upload) ask(ctx context.Context) bool {
	if !u.text.keep {
		return false // what was sent is done with
	}
	status, err := u.client.textStatus(ctx, u.request.query)
	return err == nil && u.text.confirm(status)
}

// partial returns how many bytes at the end of text are the beginning of a character.
func partial(text []byte) int {
	for back := 1; back <= min(len(text), utf8.UTFMax-1); back++ {
		if end := text[len(text)-back:]; utf8.RuneStart(end[0]) {
			if utf8.FullRune(end) {
				return 0
			}
			return back
		}
	}
	return 0
}

// valid returns text with U+FFFD in place of every byte that is not UTF-8. The server would
// do the same, but the offset counts what comes out.
func valid(text []byte) []byte {
	if utf8.Valid(text) {
		return text
	}
	return []byte(string([]rune(string(text))))
}
