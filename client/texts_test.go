package client_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sluicehq/sluice/client"
	"github.com/sluicehq/sluice/schemas"
)

// piece is a message of a text stream of channel c.
func piece(stream string, kind schemas.Kind, data string) client.Message {
	return client.Message{Message: schemas.Message{Channel: "c", Topic: "log", Kind: kind, StreamID: stream, Data: []byte(data)}}
}

func chunk(stream, text string) client.Message {
	return piece(stream, schemas.KindChunk, strconv.Quote(text))
}

func TestTexts_Add(t *testing.T) {
	start := piece("s", schemas.KindStreamStart, "{}")
	end := piece("s", schemas.KindStreamEnd, `{"reason":"complete"}`)
	gap := func(channel string) error { return &client.GapError{Gap: client.Gap{Channel: channel}} }
	type given struct {
		message client.Message
		err     error
	}
	tests := []struct {
		name  string
		given []given
		want  string // state, partial and text after each part
	}{
		{"whole", []given{{start, nil}, {chunk("s", "Hel"), nil}, {chunk("s", "lo"), nil}, {end, nil}}, `open "" ""; open "Hel" "Hel"; open "lo" "Hello"; complete "" "Hello"`},
		{"empty", []given{{start, nil}, {end, nil}}, `open "" ""; complete "" ""`},
		{"aborted", []given{{start, nil}, {piece("s", schemas.KindStreamEnd, `{"reason":"aborted"}`), nil}}, `open "" ""; aborted "" ""`},
		{"joined in the middle", []given{{chunk("s", "lo"), nil}, {end, nil}}, `open partial "lo" "lo"; complete partial "" "lo"`},
		{"gap", []given{{start, nil}, {client.Message{}, gap("c")}, {end, nil}}, `open "" ""; complete partial "" ""`},
		{"gap of all channels", []given{{start, nil}, {client.Message{}, gap("*")}, {end, nil}}, `open "" ""; complete partial "" ""`},
		{"gap of another channel", []given{{start, nil}, {client.Message{}, gap("d")}, {end, nil}}, `open "" ""; complete "" ""`},
		{"other error", []given{{start, nil}, {client.Message{}, errors.New("x")}, {end, nil}}, `open "" ""; complete "" ""`},
		{"other messages", []given{{piece("", schemas.KindData, "1"), nil}, {piece("", schemas.KindRun, "{}"), nil}}, ""},
		{"chunk that is no text", []given{{start, nil}, {piece("s", schemas.KindChunk, "{}"), nil}}, `open "" ""; open partial "" ""`},
		{"after its end", []given{{start, nil}, {chunk("s", "a"), nil}, {end, nil}, {chunk("s", "b"), nil}}, `open "" ""; open "a" "a"; complete "" "a"; open partial "b" "b"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var texts client.Texts
			var got []string
			for _, g := range tt.given {
				if text, ok := texts.Add(g.message, g.err); ok {
					got = append(got, describe(text))
				}
			}
			if strings.Join(got, "; ") != tt.want {
				t.Errorf("got  %s\nwant %s", strings.Join(got, "; "), tt.want)
			}
		})
	}
}

func describe(t *client.Text) string {
	partial := ""
	if t.Partial {
		partial = " partial"
	}
	return fmt.Sprintf("%s%s %q %q", t.State, partial, t.Piece, t)
}

func TestTexts_Add_interleaved(t *testing.T) {
	var texts client.Texts
	for i := range 10 {
		for stream := range 3 {
			texts.Add(chunk(strconv.Itoa(stream), fmt.Sprintf("%d%d ", stream, i)), nil)
		}
	}
	text, _ := texts.Add(piece("1", schemas.KindStreamEnd, `{"reason":"complete"}`), nil)
	if text.String() != "10 11 12 13 14 15 16 17 18 19 " {
		t.Errorf("text %q", text)
	}
}

// Memory is bounded: of a long text the end is kept, of very many texts those
// that had news last.
func TestTexts_Add_bounds(t *testing.T) {
	var texts client.Texts
	var text *client.Text
	for range 3 * client.MaxTextBytes / 300 {
		texts.Add(chunk("long", strings.Repeat("é", 150)+"x"), nil)
	}
	for range 2 { // one of the two cuts is inside of a character
		text, _ = texts.Add(chunk("long", "x"), nil)
		if got := text.String(); len(got) > client.MaxTextBytes || len(got) < client.MaxTextBytes-1 || !utf8.ValidString(got) {
			t.Errorf("%d bytes are kept, beginning with %q", len(got), got[:8])
		}
	}
	for i := range 999 {
		texts.Add(piece(strconv.Itoa(i), schemas.KindStreamStart, "{}"), nil)
	}
	texts.Add(chunk("long", "y"), nil)
	texts.Add(piece("one too many", schemas.KindStreamStart, "{}"), nil)
	if text, _ = texts.Add(chunk("long", "z"), nil); len(text.String()) < client.MaxTextBytes-1 {
		t.Errorf("%d bytes of the text with news are left", len(text.String()))
	}
	if text, _ = texts.Add(chunk("0", "z"), nil); !text.Partial {
		t.Error("the text without news was kept")
	}
	if text, _ = texts.Add(chunk("2", "z"), nil); text.Partial {
		t.Error("more than one text was given up")
	}
}
