package engine

import (
	"slices"

	"github.com/sluicehq/sluice/schemas"
)

// kinds holds each kind of message at its code. Engines store the codes, so only
// append to it.
var kinds = [...]schemas.Kind{"", schemas.KindData, schemas.KindRun, schemas.KindStreamStart, schemas.KindChunk, schemas.KindStreamEnd}

// KindCode returns the number that stands for a kind in storage, 0 for no kind and for
// an unknown one.
func KindCode(k schemas.Kind) byte { return byte(max(0, slices.Index(kinds[:], k))) }

// KindOf returns the kind that code stands for. It reports false for a code that this
// version does not know.
func KindOf(code int) (schemas.Kind, bool) {
	if code < 0 || code >= len(kinds) {
		return "", false
	}
	return kinds[code], true
}
