package yamldoc_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/internal/yamldoc"
)

// read reads a document with the members of every kind, and returns what it has.
func read(text string) (string, error) {
	var d yamldoc.Document
	root := d.Parse([]byte(text))
	if root == nil {
		return "", errors.Join(d.Faults...)
	}
	var got []string
	for name, value := range d.Members(root, "the document", "is", "name", "list") {
		switch name {
		case "is":
			got = append(got, fmt.Sprint(d.Bool(value, name)))
		case "name":
			got = append(got, d.Text(value, name))
		case "list":
			for _, item := range d.Items(value, name) {
				got = append(got, d.Text(item, name))
			}
		}
	}
	return strings.Join(got, " "), errors.Join(d.Faults...)
}

func TestDocument(t *testing.T) {
	for _, tt := range []struct{ text, got, fault string }{
		{"list: [a, b]\nis: true\nname: x", "true x a b", ""},
		{`{"name": "x", "list": []}`, "x", ""},
		{"name: &n x\nlist: [*n, *n]", "x x x", ""},
		{"", "", "it is empty"},
		{"# nothing", "", "it is empty"},
		{"a: [", "", "yaml"},
		{"name: x\n---\nname: y", "", "more than one document"},
		{"[a]", "", "line 1: the document: want a mapping"},
		{"name: x\nnames: y", "x", `line 2: the document: unknown member "names"`},
		{"name: x\nname: y", "x", "line 2: the document: name stands twice"},
		{"name: 7", "7", "line 1: name: want a string"},
		{"is: yes please", "false", "line 1: is: want true or false"},
		{"list: a", "", "line 1: list: want a list"},
	} {
		got, err := read(tt.text)
		if got != tt.got || (err == nil) != (tt.fault == "") || err != nil && !strings.Contains(err.Error(), tt.fault) {
			t.Errorf("%q: got %q, %v; want %q, %q", tt.text, got, err, tt.got, tt.fault)
		}
	}
}

// Files are written by people: whatever is in them is read or refused.
func FuzzDocument(f *testing.F) {
	f.Add("list: [a, b]\nis: true\nname: x")
	f.Add("list: &l [*l]")
	f.Fuzz(func(_ *testing.T, text string) { _, _ = read(text) })
}
