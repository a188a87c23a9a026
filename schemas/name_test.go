package schemas_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/sluicehq/sluice/schemas"
)

func TestParseChannel(t *testing.T) {
	tests := []struct {
		name    string
		channel string
		fault   string // of the error's text; "": legal
	}{
		{name: "usual", channel: "pipeline:run_42"},
		{name: "one character", channel: "a"},
		{name: "slash", channel: "a/b/c"},
		{name: "three dots", channel: "..."},
		{name: "dots and more", channel: "..:a/.b/c../..d"},
		{name: "empty parts", channel: "/a//b/"},
		{name: "a dot", channel: ".", fault: `"." is a step in a path`},
		{name: "two dots", channel: "..", fault: `".." is a step in a path`},
		{name: "a dot between slashes", channel: "a/./b", fault: `"." is a step in a path`},
		{name: "two dots between slashes", channel: "a/../b", fault: `".." is a step in a path`},
		{name: "dots in front", channel: "../a", fault: `".." is a step in a path`},
		{name: "dots at the end", channel: "a/..", fault: `".." is a step in a path`},
		{name: "a dot behind a slash", channel: "/.", fault: `"." is a step in a path`},
		{name: "colons alone", channel: "::"},
		{name: "other letters", channel: "réunion:北京:🙂"},
		{name: "dollar inside", channel: "a$b"},
		{name: "markup and percent", channel: "a<b>&'%2F+@!,;=~|^`()[]"},
		{name: "256 bytes", channel: strings.Repeat("a", 256)},
		{name: "256 bytes of two each", channel: strings.Repeat("é", 128)},
		{name: "empty", channel: "", fault: "it is empty"},
		{name: "257 bytes", channel: strings.Repeat("a", 257), fault: "it has 257 bytes, at most 256 are allowed"},
		{name: "258 bytes in 129 characters", channel: strings.Repeat("é", 129), fault: "it has 258 bytes"},
		{name: "system", channel: "$sys", fault: "the system's own"},
		{name: "invalid UTF-8", channel: "a\xff", fault: "it is not UTF-8"},
		{name: "cut UTF-8", channel: "a\xe2\x82", fault: "it is not UTF-8"},
		{name: "surrogate", channel: "a\xed\xa0\x80", fault: "it is not UTF-8"},
		{name: "overlong slash", channel: "a\xc0\xaf", fault: "it is not UTF-8"},
	}
	for _, r := range "*{}\"\\?# \t\n\r\v\f\x00\x1b\x7f\u0080\u0085\u009f\u00a0\u00ad\u061c\u180e\u1680\u2000\u200a" +
		"\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202a\u202e\u202f\u205f\u2060\u2066\u2069\u3000\ufeff\ufff9\U000e0001\U000e0020" {
		for _, channel := range []string{string(r), "a" + string(r), string(r) + "a", "a:" + string(r) + ":b"} {
			tests = append(tests, struct{ name, channel, fault string }{
				name: "character " + strings.ToUpper(quoteRune(r)), channel: channel, fault: "is not allowed",
			})
		}
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := schemas.ParseChannel(tt.channel)
			checkParse(t, string(got), tt.channel, err, schemas.ErrBadChannel, tt.fault)
		})
	}
}

func TestParseTopic(t *testing.T) {
	tests := []struct{ name, topic, fault string }{
		{name: "usual", topic: "status"},
		{name: "everything allowed", topic: "AZaz09_.-"},
		{name: "a dot", topic: ".", fault: `"." is a step in a path`},
		{name: "two dots", topic: "..", fault: `".." is a step in a path`},
		{name: "three dots", topic: "..."},
		{name: "64 bytes", topic: strings.Repeat("a", 64)},
		{name: "reserved in other case", topic: "Open"},
		{name: "reserved inside", topic: "open.door"},
		{name: "empty", topic: "", fault: "it is empty"},
		{name: "65 bytes", topic: strings.Repeat("a", 65), fault: "it has 65 bytes, at most 64 are allowed"},
		{name: "system", topic: "$run", fault: "only A-Z a-z 0-9 _ . - are allowed"},
		{name: "star", topic: "*", fault: "only"},
		{name: "colon", topic: "a:b", fault: "only"},
		{name: "slash", topic: "a/b", fault: "only"},
		{name: "space", topic: "a b", fault: "only"},
		{name: "line feed", topic: "a\nevent: b", fault: "only"},
		{name: "trailing line feed", topic: "a\n", fault: "only"},
		{name: "NUL", topic: "a\x00", fault: "only"},
		{name: "letter beyond ASCII", topic: "é", fault: "only"},
		{name: "look-alike digit", topic: "٣", fault: "only"},
		{name: "invalid UTF-8", topic: "\xff", fault: "only"},
	}
	for _, reserved := range []string{"open", "error", "message", "close", "end", "abort", "retrying"} {
		tests = append(tests, struct{ name, topic, fault string }{"reserved " + reserved, reserved, "clients use for themselves"})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := schemas.ParseTopic(tt.topic)
			checkParse(t, string(got), tt.topic, err, schemas.ErrBadTopic, tt.fault)
		})
	}
}

func TestParseRunID(t *testing.T) {
	tests := []struct{ name, id, fault string }{
		{name: "usual", id: "run_42"},
		{name: "empty", id: ""},
		{name: "space inside", id: "nightly build"},
		{name: "quotes and braces", id: `{"a\b"}*?#`},
		{name: "256 bytes", id: strings.Repeat("a", 256)},
		{name: "257 bytes", id: strings.Repeat("a", 257), fault: "it has 257 bytes"},
		{name: "invalid UTF-8", id: "\xff", fault: "it is not UTF-8"},
		{name: "line feed", id: "a\nb", fault: "is not allowed"},
		{name: "DEL", id: "a\x7f", fault: "is not allowed"},
		{name: "zero width space", id: "a\u200b", fault: "is not allowed"},
		{name: "byte order mark", id: "\ufeffa", fault: "is not allowed"},
		{name: "right-to-left override", id: "a\u202eb", fault: "is not allowed"},
		{name: "line separator", id: "a\u2028b", fault: "is not allowed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := schemas.ParseRunID(tt.id)
			checkParse(t, got, tt.id, err, schemas.ErrBadRunID, tt.fault)
		})
	}
}

func TestParseStreamID(t *testing.T) {
	for _, tt := range []struct{ name, id, fault string }{
		{name: "every character", id: "azAZ09_.:-"},
		{name: "64 bytes", id: strings.Repeat("s", 64)},
		{name: "empty", id: "", fault: "it has 0 bytes, 1 to 64 are allowed"},
		{name: "65 bytes", id: strings.Repeat("s", 65), fault: "it has 65 bytes"},
		{name: "slash", id: "a/b", fault: "only A-Z"},
		{name: "space", id: "a b", fault: "only A-Z"},
		{name: "quote", id: `a"b`, fault: "only A-Z"},
		{name: "beyond ASCII", id: "é", fault: "only A-Z"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := schemas.ParseStreamID(tt.id)
			checkParse(t, got, tt.id, err, schemas.ErrBadStreamID, tt.fault)
		})
	}
}

// The examples of W3C Trace Context, and what it calls invalid.
func TestParseTraceparent(t *testing.T) {
	const valid = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, tt := range []struct{ name, header, want string }{
		{"usual", valid, valid},
		{"not sampled", valid[:53] + "00", valid[:53] + "00"},
		{"a later version", "cc" + valid[2:], "cc" + valid[2:]},
		{"a later version, with more", "cc" + valid[2:] + "-what-the-future-brings", "cc" + valid[2:]},
		{"version 00 with more", valid + "-more", ""},
		{"more without a dash", "cc" + valid[2:] + "more", ""},
		{"version ff", "ff" + valid[2:], ""},
		{"empty", "", ""},
		{"too short", valid[:54], ""},
		{"capitals", strings.ToUpper(valid), ""},
		{"a dash that is missing", strings.Replace(valid, "-", "0", 1), ""},
		{"a dash too many", "00-0af7651916cd43dd-448eb211c80319c-b7ad6b7169203331-01", ""},
		{"a trace of zeros", "00-00000000000000000000000000000000-b7ad6b7169203331-01", ""},
		{"a parent of zeros", "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", ""},
		{"a quote", strings.Replace(valid, "a", `"`, 1), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := schemas.ParseTraceparent(tt.header); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestParseKey(t *testing.T) {
	tests := []struct{ name, key, fault string }{
		{name: "usual", key: "3f2c-9"},
		{name: "first and last printable", key: " ~"},
		{name: "255 bytes", key: strings.Repeat("k", 255)},
		{name: "empty", key: "", fault: "it has 0 bytes, 1 to 255 are allowed"},
		{name: "256 bytes", key: strings.Repeat("k", 256), fault: "it has 256 bytes"},
		{name: "tab", key: "a\tb", fault: "only printable ASCII"},
		{name: "DEL", key: "\x7f", fault: "only printable ASCII"},
		{name: "beyond ASCII", key: "é", fault: "only printable ASCII"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := schemas.ParseKey(tt.key)
			checkParse(t, got, tt.key, err, schemas.ErrBadKey, tt.fault)
		})
	}
}

// checkParse holds the result of a Parse function to what a table wants.
func checkParse(t *testing.T, got, in string, err, sentinel error, fault string) {
	t.Helper()
	switch {
	case fault == "" && (err != nil || got != in):
		t.Errorf("%q: got %q, %v; want it back", in, got, err)
	case fault != "" && !errors.Is(err, sentinel):
		t.Errorf("%q: error %v, want %v", in, err, sentinel)
	case fault != "" && (!strings.Contains(err.Error(), fault) || got != ""):
		t.Errorf("%q: got %q, %v; want nothing and %q", in, got, err, fault)
	}
}

func quoteRune(r rune) string {
	const digits = "0123456789abcdef"
	s := ""
	for ; r > 0 || s == ""; r >>= 4 {
		s = string(digits[r&15]) + s
	}
	return s
}

func FuzzParseChannel(f *testing.F) {
	for _, s := range []string{"pipeline:run_42", "$x", "a\u200b", "a b", "a/b", "\xff", "user:*", ".", "a/../b", "a//b", "/./", "a/.", "%2e%2e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := schemas.ParseChannel(s)
		if err != nil {
			if c != "" || !errors.Is(err, schemas.ErrBadChannel) {
				t.Fatalf("%q: got %q, %v", s, c, err)
			}
			return
		}
		if string(c) != s || s == "" || len(s) > schemas.MaxChannelBytes || !utf8.ValidString(s) || s[0] == '$' {
			t.Fatalf("%q was accepted as %q", s, c)
		}
		for _, r := range s {
			if unicode.IsControl(r) || unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) || strings.ContainsRune(`*{}"\?#`, r) {
				t.Fatalf("%q was accepted with %q in it", s, r)
			}
		}
		// Neither escaped nor behind a proxy that decodes does it lead elsewhere.
		for _, path := range []string{"/v1/publish/" + url.PathEscape(s) + "/t", (&url.URL{Path: "/v1/publish/" + s + "/t"}).EscapedPath()} {
			u, err := url.Parse("http://a.test" + path)
			if err != nil {
				t.Fatal(err)
			}
			if got := u.ResolveReference(u).Path; got != "/v1/publish/"+s+"/t" {
				t.Fatalf("%q leads to %q", s, got)
			}
		}
	})
}

func FuzzParseTopic(f *testing.F) {
	for _, s := range []string{"status", "$run", "open", "a.b-c_d", "a b", "é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		topic, err := schemas.ParseTopic(s)
		if err != nil {
			if topic != "" || !errors.Is(err, schemas.ErrBadTopic) {
				t.Fatalf("%q: got %q, %v", s, topic, err)
			}
			return
		}
		rest := strings.Map(func(r rune) rune {
			if strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-", r) {
				return -1
			}
			return r
		}, s)
		if string(topic) != s || s == "" || len(s) > schemas.MaxTopicBytes || rest != "" {
			t.Fatalf("%q was accepted as %q", s, topic)
		}
	})
}
