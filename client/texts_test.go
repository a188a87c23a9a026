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

// piece returns a message of a text stream of channel c.
func piece(stream string, kind schemas.Kind, data string) client.Message {
	return client.Message{Message: schemas.Message{Channel: "c", Topic: "log", Kind: kind, StreamID: stream, Data: []byte(data)}}
}

func chunk(stream, text string) client.Message {
	return piece(stream, schemas.KindChunk, strconv.Quote(text))
}

// at returns the chunk with an offset.
func at(offset int64, m client.Message) client.Message {
	m.Offset = offset
	return m
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
		{"superseded", []given{{start, nil}, {chunk("s", "old"), nil}, {piece("s", schemas.KindStreamEnd, `{"reason":"superseded"}`), nil}, {start, nil}, {chunk("s", "new"), nil}, {end, nil}}, `open "" ""; open "old" "old"; superseded "" "old"; open "" ""; open "new" "new"; complete "" "new"`},
		{"joined in the middle", []given{{at(3, chunk("s", "lo")), nil}, {end, nil}}, `open partial "lo" "lo"; complete partial "" "lo"`},
		{"only its end", []given{{end, nil}}, `complete partial "" ""`},
		{"a gap without a loss", []given{{start, nil}, {chunk("s", "Hel"), nil}, {client.Message{}, gap("c")}, {at(3, chunk("s", "lo")), nil}, {end, nil}}, `open "" ""; open "Hel" "Hel"; open "lo" "Hello"; complete "" "Hello"`},
		{"a gap with one", []given{{start, nil}, {chunk("s", "Hel"), nil}, {client.Message{}, gap("c")}, {at(4, chunk("s", "o")), nil}}, `open "" ""; open "Hel" "Hel"; open partial "o" "Helo"`},
		{"what is there comes again", []given{{start, nil}, {chunk("s", "Hel"), nil}, {at(1, chunk("s", "ello")), nil}, {at(2, chunk("s", "l")), nil}}, `open "" ""; open "Hel" "Hel"; open "lo" "Hello"; open "" "Hello"`},
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

// A publisher may choose the stream id, so texts of other topics and channels may have it,
// too.
func TestTexts_Add_sameID(t *testing.T) {
	var texts client.Texts
	var last [3]string
	for _, text := range []string{"a", "b", "c"} {
		for i := range last {
			m := chunk("s", text+strconv.Itoa(i))
			switch i {
			case 1:
				m.Topic = "other"
			case 2:
				m.Channel = "other"
			}
			text, _ := texts.Add(m, nil)
			last[i] = text.String()
		}
	}
	if last != [3]string{"a0b0c0", "a1b1c1", "a2b2c2"} {
		t.Errorf("texts %q", last)
	}
}

// Memory is bounded: only the end of a long text is kept, and among too many texts only those
// that grew most recently.
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
