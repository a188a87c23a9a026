package program

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"
)

// numberMark precedes a negative number while the command line is parsed, because kong
// would take -5 for a flag. No argument can contain it.
const numberMark = "\x00"

// markNumbers returns args with a mark before each negative number. No flag of
// the program looks like one.
func markNumbers(args []string) []string {
	marked := make([]string, len(args))
	for i, arg := range args {
		if strings.HasPrefix(arg, "-") && json.Valid([]byte(arg)) {
			arg = numberMark + arg
		}
		marked[i] = arg
	}
	return marked
}

// unmarked returns text without its marks, including quoted ones.
func unmarked(text string) string {
	return strings.NewReplacer(numberMark, "", `\x00`, "").Replace(text)
}

// decodeText decodes an argument of text.
func decodeText(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("string", &text); err != nil {
		return err
	}
	target.SetString(strings.TrimPrefix(text, numberMark))
	return nil
}

// errEmpty is the fault of an empty argument of type nonempty.
var errEmpty = errors.New("it is empty: was a variable not set?")

// decodeNonempty decodes a text argument that must not be empty. An empty one would
// silently mean something else: a message from standard input, a publish without a key.
func decodeNonempty(ctx *kong.DecodeContext, target reflect.Value) error {
	if err := decodeText(ctx, target); err != nil {
		return err
	}
	if target.Len() == 0 {
		return errEmpty
	}
	return nil
}
