package handlers

import (
	"slices"
	"strings"

	"github.com/sluicehq/sluice/internal/strictjson"
	"github.com/sluicehq/sluice/schemas"
)

// object is a type for a JSON object whose members are all known. The standard decoder
// accepts names in any case, and the last of two members with one name: what is checked
// could differ from what another reader of the body sees.
type object interface {
	members() []string // the known names
}

// checkMembers returns an error that names every unknown and every repeated member of
// data, which is valid JSON.
func checkMembers(data []byte, o object) error {
	known := o.members()
	var faults []schemas.FieldError
	var seen uint64
	for name := range strictjson.Members(data) {
		if len(faults) == maxFaults {
			break
		}
		i := slices.Index(known, string(name))
		switch {
		case i < 0:
			faults = append(faults, schemas.FieldError{Pointer: pointerTo(string(name)), Detail: "is unknown here"})
		case seen&(1<<i) != 0:
			faults = append(faults, schemas.FieldError{Pointer: pointerTo(string(name)), Detail: "stands there twice"})
		default:
			seen |= 1 << i
		}
	}
	if faults != nil {
		return &fieldsError{faults}
	}
	return nil
}

// maxFaults is the most faults of one body that an answer lists.
const maxFaults = 32

// maxPointed is the most bytes of a name from outside that an answer repeats.
const maxPointed = 64

// pointerTo returns the pointer to a member (RFC 6901).
func pointerTo(name string) string {
	if len(name) > maxPointed {
		name = strings.ToValidUTF8(name[:maxPointed], "") + "…"
	}
	return strictjson.Pointer("", name)
}
