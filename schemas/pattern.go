package schemas

import (
	"errors"
	"regexp"
	"regexp/syntax"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// maxPatterns limits all patterns of one definition together, in instructions of their
// compiled programs. A repetition counts as often as it may happen: a{1,1000} counts a
// thousand times.
const maxPatterns = 50_000

var errLargePatterns = errors.New("schemas: patterns are too large")

// pattern is a regular expression that knows the cost of a search.
type pattern struct {
	*regexp.Regexp
	size int
}

// patterns compiles the patterns of one definition, each once.
type patterns struct {
	known map[string]*pattern
	size  int
}

// compile is a [jsonschema.RegexpEngine].
func (p *patterns) compile(text string) (jsonschema.Regexp, error) {
	if found, ok := p.known[text]; ok {
		return found, nil
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, err
	}
	size := sizeOf(parsed)
	if p.size += size; p.size > maxPatterns {
		return nil, errLargePatterns
	}
	compiled, err := regexp.Compile(text)
	if err != nil {
		return nil, err
	}
	if p.known == nil {
		p.known = make(map[string]*pattern)
	}
	p.known[text] = &pattern{compiled, size}
	return p.known[text], nil
}

// sizeOf returns the size of the program for an expression, or a little more than maxPatterns
// if it is larger.
func sizeOf(re *syntax.Regexp) int {
	size := 1 + len(re.Rune)/8
	for _, sub := range re.Sub {
		size = min(size+sizeOf(sub), maxPatterns+1)
	}
	if re.Op == syntax.OpRepeat {
		size *= max(re.Min, re.Max, 1)
	}
	return min(size, maxPatterns+1)
}

// isPattern reports whether text is a regular expression. It does not compile it, which might
// take much more memory than text has bytes.
func isPattern(text string) bool {
	_, err := syntax.Parse(text, syntax.Perl)
	return err == nil
}
