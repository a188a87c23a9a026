package nats_test

import (
	"strings"
	"testing"

	"github.com/sluicehq/sluice/broker/engine/nats"
	"github.com/sluicehq/sluice/schemas"
)

func TestSubject(t *testing.T) {
	for _, c := range []struct{ name, channel, want string }{
		{"plain", "a", "p.a"},
		{"segments", "pipeline:run_42", "p.pipeline.run_42"},
		{"dots", "v1.2:x", "p.v1%2E2.x"},
		{"wildcards", "a>:b", "p.a%3E.b"},
		{"percent", "100%", "p.100%25"},
		{"empty segment", "a::b", "p.a.%.b"},
		{"colon first", ":a", "p.%.a"},
		{"colon last", "a:", "p.a.%"},
		{"only a colon", ":", "p.%.%"},
		{"utf-8", "straße:日本", "p.straße.日本"},
		{"slash", "/users/7", "p./users/7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := nats.SubjectOf("p.", schemas.Channel(c.channel))
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if back, ok := nats.ChannelOf("p.", got); !ok || string(back) != c.channel {
				t.Errorf("came back as %q, %t", back, ok)
			}
		})
	}
}

func TestSubject_ofPatterns(t *testing.T) {
	for pattern, want := range map[schemas.Pattern]string{
		"*": "p.>", "a:*": "p.a.>", "a:b:*": "p.a.b.>", "a::*": "p.a.%.>", "a.b:*": "p.a%2Eb.>", "a:b": "p.a.b",
	} {
		if got := nats.FilterOf("p.", pattern); got != want {
			t.Errorf("%s: got %q, want %q", pattern, got, want)
		}
	}
}

func TestChannelOf_foreign(t *testing.T) {
	for _, subject := range []string{"", "p.", "q.a", "p.a..b", "p.a%", "p.a%2", "p.a%zz", "p.a%2e"} {
		if name, ok := nats.ChannelOf("p.", subject); ok {
			t.Errorf("%q was read as %q", subject, name)
		}
	}
}

func FuzzSubject(f *testing.F) {
	for _, s := range []string{"a", "a:b", ":", "a::", "%", "a.b*>", "日本", "a%3A", " \x7f"} {
		f.Add(s, "a:*")
	}
	f.Fuzz(func(t *testing.T, s, p string) {
		subject := nats.SubjectOf("p.", schemas.Channel(s))
		if strings.ContainsAny(subject, " \t\r\n*>\x7f\x00") || strings.Contains(subject, "..") || strings.HasSuffix(subject, ".") {
			t.Fatalf("%q is not a subject", subject)
		}
		if back, ok := nats.ChannelOf("p.", subject); !ok || string(back) != s {
			t.Fatalf("%q came back as %q, %t", s, back, ok)
		}
		pattern, err := schemas.ParsePattern(p)
		if _, bad := schemas.ParseChannel(s); err != nil || bad != nil {
			return
		}
		if pattern.Matches(schemas.Channel(s)) && !matches(nats.FilterOf("p.", pattern), subject) {
			t.Fatalf("%q does not find %q", pattern, s)
		}
	})
}

// matches is how a NATS server matches a subject with a filter.
func matches(filter, subject string) bool {
	f, s := strings.Split(filter, "."), strings.Split(subject, ".")
	for i, token := range f {
		if token == ">" {
			return len(s) > i
		}
		if i >= len(s) || token != s[i] {
			return false
		}
	}
	return len(f) == len(s)
}
