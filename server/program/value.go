package program

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxSecretFile bounds the file of a secret, in bytes.
const maxSecretFile = 1 << 20

// lineEnds are the characters that no value has in it.
const lineEnds = "\r\n"

// value is the value of a setting and the place where it was given: the flag, the
// variable, or the file with line and key.
type value struct {
	text  string
	items []string // of a list, in place of text, if the items are already separate
	place string
}

// String returns the value as a flag would have it.
func (v value) String() string {
	if v.items != nil {
		return strings.Join(v.items, ",")
	}
	return v.text
}

// clean returns v without the line breaks that editors, templates and mounted secrets
// add after a value. A list may have one item per line. In any other value a line break
// is a fault: to join or cut the lines would make another value of it.
func (v value) clean(list bool) (value, error) {
	if v.items != nil { // from YAML, which has already separated the items
		for i, item := range v.items {
			item, err := oneLine(item)
			if err != nil {
				return v, err
			}
			v.items[i] = item
		}
		return v, nil
	}
	if list && strings.ContainsAny(v.text, lineEnds) {
		v.items = strings.FieldsFunc(v.text, func(r rune) bool { return r == ',' || strings.ContainsRune(lineEnds, r) })
		return v, nil
	}
	text, err := oneLine(v.text)
	v.text = text
	return v, err
}

func oneLine(text string) (string, error) {
	text = strings.Trim(text, lineEnds)
	if strings.ContainsAny(text, lineEnds) {
		return "", errors.New("it has more than one line")
	}
	return text, nil
}

// readSecret returns the text of a file that holds a secret.
func readSecret(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	content, err := io.ReadAll(io.LimitReader(file, maxSecretFile+1))
	if err := errors.Join(err, file.Close()); err != nil {
		return "", err
	}
	text := string(bytes.TrimPrefix(content, []byte("\ufeff")))
	switch {
	case len(content) > maxSecretFile:
		return "", fmt.Errorf("%s has more than %d bytes", path, maxSecretFile)
	case strings.HasPrefix(text, "\xff\xfe"), strings.HasPrefix(text, "\xfe\xff"):
		return "", fmt.Errorf("%s is UTF-16; save it as UTF-8", path)
	case strings.Trim(text, lineEnds) == "":
		return "", fmt.Errorf("%s is empty", path)
	}
	return text, nil
}
