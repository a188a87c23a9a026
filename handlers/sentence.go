package handlers

import (
	"strings"
)

// sentence returns the text of err without the names of our packages. It removes them only
// at the beginning of an error's own text: a user's input may read "disk: full", too.
func sentence(err error) string {
	text := err.Error()
	var b strings.Builder
	for _, cause := range causesOf(err) {
		said := cause.Error()
		if before, after, found := strings.Cut(text, said); found {
			b.WriteString(ownText(before, &b))
			b.WriteString(sentence(cause))
			text = after
		}
	}
	b.WriteString(ownText(text, &b))
	return b.String()
}

// ownText returns a piece of an error's own text, without the name of its package if it is
// the first piece.
func ownText(piece string, before *strings.Builder) string {
	if before.Len() > 0 {
		return piece
	}
	for _, name := range []string{"handlers", "schemas", "strictjson", "broker", "engine", "ring", "clusterstate", "auth", "disk", "nats"} {
		if rest, ok := strings.CutPrefix(piece, name+": "); ok {
			return rest
		}
	}
	return piece
}

// causesOf returns the errors that err wraps.
func causesOf(err error) []error {
	switch err := err.(type) { //nolint:errorlint // this function is what walks the wrapped errors
	case interface{ Unwrap() error }:
		if cause := err.Unwrap(); cause != nil {
			return []error{cause}
		}
	case interface{ Unwrap() []error }:
		return err.Unwrap()
	}
	return nil
}
