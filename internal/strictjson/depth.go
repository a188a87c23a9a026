package strictjson

import (
	"bytes"
	"errors"
	"fmt"
)

// MaxDepth is how many arrays and objects may nest in a JSON document from outside: []
// has one level, [{"a":[]}] has three. The limit is well below what readers' parsers
// take, which leaves room for the levels that an event or a page of history adds
// around the data.
const MaxDepth = 500

// ErrTooDeep is returned for a document with more than [MaxDepth] levels.
var ErrTooDeep = errors.New("strictjson: JSON is nested too deep")

// CheckDepth returns [ErrTooDeep] if data has more than [MaxDepth] levels. The data
// need not be valid JSON.
func CheckDepth(data []byte) error {
	if len(data) <= MaxDepth || bytes.Count(data, []byte{'['})+bytes.Count(data, []byte{'{'}) <= MaxDepth {
		return nil // as in nearly all documents
	}
	if Depth(data) > MaxDepth {
		return TooDeep()
	}
	return nil
}

// TooDeep returns [ErrTooDeep] with the limit in its text.
func TooDeep() error {
	return fmt.Errorf("%w: at most %d arrays and objects may stand within each other", ErrTooDeep, MaxDepth)
}

// Depth returns how many arrays and objects nest in data, which need not be valid
// JSON.
func Depth(data []byte) int {
	level, depth := 0, 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			for i++; i < len(data) && data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			level++
			depth = max(depth, level)
		case '}', ']':
			level--
		}
	}
	return depth
}
