package schemas

import (
	"unicode"
	"unicode/utf8"
)

// AppendString appends s as a JSON string, on one line whatever is in it.
func AppendString(b []byte, s string) []byte {
	return append(appendEscaped(append(b, '"'), s), '"')
}

// appendEscaped appends the content of a JSON string, without the quotes. Every character
// that some reader takes for the end of a line is escaped. Bytes that are not UTF-8 become
// U+FFFD.
func appendEscaped(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	for _, r := range s {
		switch escapeBytes(r) {
		case 2:
			b = append(b, '\\', shortEscape(r))
		case 6:
			b = append(b, '\\', 'u', hex[r>>12], hex[r>>8&15], hex[r>>4&15], hex[r&15])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return b
}

// escapedBytes returns how many bytes [appendEscaped] appends for s.
func escapedBytes(s string) (n int) {
	for _, r := range s {
		if escape := escapeBytes(r); escape > 0 {
			n += escape
		} else {
			n += utf8.RuneLen(r)
		}
	}
	return n
}

// escapeBytes returns the length of r's escape sequence, 0 if r is written as it is.
func escapeBytes(r rune) int {
	switch {
	case shortEscape(r) != 0:
		return 2
	case unicode.IsControl(r) || r == '\u2028' || r == '\u2029':
		return 6
	}
	return 0
}

// shortEscape returns what follows the backslash in the escape sequence of two bytes, 0 if
// r has none.
func shortEscape(r rune) byte {
	switch r {
	case '"', '\\':
		return byte(r)
	case '\b':
		return 'b'
	case '\f':
		return 'f'
	case '\n':
		return 'n'
	case '\r':
		return 'r'
	case '\t':
		return 't'
	}
	return 0
}
