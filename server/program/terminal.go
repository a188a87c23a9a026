package program

import (
	"os"
	"strconv"
	"strings"
	"unicode"

	"github.com/mattn/go-isatty"
)

// isTerminal reports whether w is a terminal, where a person reads.
func isTerminal(w any) bool {
	file, ok := w.(*os.File)
	return ok && isatty.IsTerminal(file.Fd())
}

// style is an SGR sequence of ECMA-48.
type style string

const (
	dim   style = "\x1b[2m"
	bold  style = "\x1b[1m"
	cyan  style = "\x1b[36m"
	red   style = "\x1b[31m"
	plain       = "\x1b[0m"
)

// palette colours text, or leaves it as it is if it is false.
type palette bool

// coloured returns the palette for w: colours on a terminal, unless the variable
// NO_COLOR is set to anything.
func (s *streams) coloured(w any) palette {
	return palette(isTerminal(w) && s.variable("NO_COLOR") == "")
}

func (p palette) paint(with style, text string) string {
	if !p {
		return text
	}
	return string(with) + text + plain
}

// printable escapes characters that could control a terminal or disguise the text. JSON
// already escapes most of them, but not all.
func printable(text string) string {
	if !strings.ContainsFunc(text, unsafeToPrint) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if unsafeToPrint(r) {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func unsafeToPrint(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) }
