package schemas_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/schemas"
)

func TestParsePattern(t *testing.T) {
	for _, s := range []string{"*", "user:*", "user:1:*", "user:1", "a:b:c", "a/b:*", "::*", "a::*", "..:*"} {
		if p, err := schemas.ParsePattern(s); err != nil || string(p) != s {
			t.Errorf("%q: got %q, %v", s, p, err)
		}
	}
	for _, s := range []string{
		"", ":*", "user:1*", "user*", "*:user", "user:*:x", "**", "*:*", "user:**", "u*er:*", "$sys:*", "$sys",
		"user:* ", "user :*", "user:\u200b*", "{id}", strings.Repeat("a", 257), ".", "..", "../a:*", "a/..",
	} {
		if p, err := schemas.ParsePattern(s); !errors.Is(err, schemas.ErrBadChannel) || p != "" {
			t.Errorf("%q: got %q, %v; want ErrBadChannel", s, p, err)
		}
	}
}

func TestPattern_Matches(t *testing.T) {
	tests := []struct {
		name    string
		pattern schemas.Pattern
		channel schemas.Channel
		want    bool
	}{
		{"exact", "user:1", "user:1", true},
		{"exact is no prefix", "user:1", "user:10", false},
		{"exact is no parent", "user:1", "user:1:a", false},
		{"case counts", "user:1", "User:1", false},
		{"below", "user:*", "user:1", true},
		{"far below", "user:*", "user:1:a:b", true},
		{"not the prefix itself", "user:*", "user", false},
		{"not the prefix with its colon", "user:*", "user:", false},
		{"not a longer word", "user:*", "users:1", false},
		{"attack: a number that begins alike", "user:1:*", "user:10", false},
		{"attack: below a number that begins alike", "user:1:*", "user:10:a", false},
		{"attack: the prefix within", "user:1:*", "x:user:1:a", false},
		{"the number itself is not below it", "user:1:*", "user:1", false},
		{"below the number", "user:1:*", "user:1:a", true},
		{"star", "*", "anything", true},
		{"star and colons", "*", "a:b", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.pattern.Matches(tt.channel); got != tt.want {
				t.Errorf("%q matches %q: %t, want %t", tt.pattern, tt.channel, got, tt.want)
			}
		})
	}
}

func TestPattern_Covers(t *testing.T) {
	tests := []struct {
		p, q schemas.Pattern
		want bool
	}{
		{"*", "*", true},
		{"*", "user:*", true},
		{"*", "user:1", true},
		{"user:*", "*", false},
		{"user:*", "user:*", true},
		{"user:*", "user:1", true},
		{"user:*", "user:1:*", true},
		{"user:*", "user", false},
		{"user:*", "users:*", false},
		{"user:1:*", "user:*", false},
		{"user:1:*", "user:10:*", false},
		{"user:1:*", "user:10", false},
		{"user:1:*", "user:1", false},
		{"user:1", "user:1", true},
		{"user:1", "user:*", false},
		{"user:1", "user:1:*", false},
		{"user:1", "*", false},
	}
	for _, tt := range tests {
		if got := tt.p.Covers(tt.q); got != tt.want {
			t.Errorf("%q covers %q: %t, want %t", tt.p, tt.q, got, tt.want)
		}
	}
}

func TestPattern_Exact(t *testing.T) {
	for p, want := range map[schemas.Pattern]bool{"user:1": true, "user:*": false, "*": false} {
		if c, exact := p.Exact(); exact != want || exact && string(c) != string(p) {
			t.Errorf("%q: got %q, %t", p, c, exact)
		}
	}
}

func TestGrant_Check(t *testing.T) {
	tests := []struct {
		name  string
		grant schemas.Grant
		fault string
	}{
		{"usual", schemas.Grant{"pipeline:*", []string{"status", "tokens"}}, ""},
		{"every topic", schemas.Grant{"*", []string{"*"}}, ""},
		{"the run", schemas.Grant{"a", []string{"$run"}}, ""},
		{"no topics", schemas.Grant{"a", nil}, `channel "a" has no topics`},
		{"empty topic", schemas.Grant{"a", []string{""}}, "it is empty"},
		{"topic pattern", schemas.Grant{"a", []string{"sta*"}}, "only"},
		{"other system topic", schemas.Grant{"a", []string{"$gap"}}, "only"},
		{"reserved topic", schemas.Grant{"a", []string{"ok", "open"}}, "clients"},
		{"bad channel", schemas.Grant{"user:1*", []string{"*"}}, "bad channel name"},
		{"no channel", schemas.Grant{"", []string{"*"}}, "it is empty"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.grant.Check()
			switch {
			case tt.fault == "" && err != nil:
				t.Errorf("got %v", err)
			case tt.fault != "" && (!errors.Is(err, schemas.ErrBadGrant) || !strings.Contains(err.Error(), tt.fault)):
				t.Errorf("got %v, want ErrBadGrant with %q", err, tt.fault)
			}
		})
	}
}

func TestGrants_Allows(t *testing.T) {
	gs := schemas.Grants{{"user:1:*", []string{"a"}}, {"user:1:x", []string{"b"}}, {"all", []string{"*"}}}
	tests := []struct {
		channel schemas.Channel
		topic   schemas.Topic
		want    bool
	}{
		{"user:1:x", "a", true},
		{"user:1:x", "b", true},
		{"user:1:y", "b", false},
		{"user:10", "a", false},
		{"user:1", "a", false},
		{"all", "anything", true},
		{"all", "$run", true},
		{"user:1:x", "$run", false},
		{"user:1:x", "*", false},
		{"all:x", "a", false},
	}
	for _, tt := range tests {
		if got := gs.Allows(tt.channel, tt.topic); got != tt.want {
			t.Errorf("%s/%s: %t, want %t", tt.channel, tt.topic, got, tt.want)
		}
	}
	if schemas.Grants(nil).Allows("a", "b") {
		t.Error("no grants allow something")
	}
	if !schemas.AllowAll().Allows("a:b", "$run") {
		t.Error("an API key is refused")
	}
}

func TestGrants_TopicsOf(t *testing.T) {
	gs := schemas.Grants{
		{"user:*", []string{"b", "a"}},
		{"user:1", []string{"c", "a"}},
		{"user:1:*", []string{"*"}},
		{"none", nil},
	}
	tests := []struct {
		name    string
		pattern schemas.Pattern
		want    []schemas.Topic
		ok      bool
	}{
		{"union, in order, once each", "user:1", []schemas.Topic{"a", "b", "c"}, true},
		{"one grant", "user:2", []schemas.Topic{"a", "b"}, true},
		{"a pattern gets what holds for all of it", "user:*", []schemas.Topic{"a", "b"}, true},
		{"every topic", "user:1:x", []schemas.Topic{"*"}, true},
		{"every topic of a pattern", "user:1:*", []schemas.Topic{"*"}, true},
		{"attack: ten is not one", "user:10:*", []schemas.Topic{"a", "b"}, true},
		{"wider than any grant", "*", nil, false},
		{"another channel", "users:1", nil, false},
		{"a grant of nothing", "none", nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set, ok := gs.TopicsOf(tt.pattern)
			if ok != tt.ok || ok && !slices.Equal(set.Names(), tt.want) {
				t.Errorf("got %v, %t; want %v, %t", set.Names(), ok, tt.want, tt.ok)
			}
		})
	}
}

func TestTopicSet(t *testing.T) {
	some := schemas.NewTopicSet([]string{"b", "a", "b"})
	if some.All() || !some.Has("a") || !some.Has("b") || some.Has("c") || some.Has("$run") || some.Has("*") {
		t.Errorf("wrong members in %v", some)
	}
	if got := some.Names(); !slices.Equal(got, []schemas.Topic{"a", "b"}) {
		t.Errorf("names %v", got)
	}
	for name, all := range map[string]schemas.TopicSet{
		"zero value": {}, "of nothing": schemas.NewTopicSet(nil), "of a star": schemas.NewTopicSet([]string{"a", "*"}),
	} {
		if !all.All() || !all.Has("a") || !all.Has("$run") || !slices.Equal(all.Names(), []schemas.Topic{"*"}) {
			t.Errorf("%s: not every topic: %v", name, all)
		}
	}
}

// FuzzGrants holds Covers to Matches: who covers a pattern matches whatever the
// pattern matches, and who does not misses some of it.
func FuzzGrants(f *testing.F) {
	f.Add("user:*", "user:1:*", "user:1:a")
	f.Add("user:1:*", "user:10", "user:10")
	f.Add("*", "a", "a")
	f.Add("a:b", "a:*", "a:b")
	f.Add("a::*", "a:*", "a::b")
	f.Fuzz(func(t *testing.T, p, q, c string) {
		pattern, err := schemas.ParsePattern(p)
		if err != nil {
			return
		}
		other, err := schemas.ParsePattern(q)
		if err != nil {
			return
		}
		covers := pattern.Covers(other)
		if channel, err := schemas.ParseChannel(c); err == nil && covers && other.Matches(channel) && !pattern.Matches(channel) {
			t.Fatalf("%q covers %q, but not its %q", p, q, c)
		}
		if one, exact := other.Exact(); exact && covers != pattern.Matches(one) {
			t.Fatalf("%q covers %q: %t; matches it: %t", p, q, covers, !covers)
		}
		topics, some := schemas.Grants{{pattern, []string{"t"}}}.TopicsOf(other)
		if some != covers || some && (topics.All() || !topics.Has("t")) {
			t.Fatalf("a grant on %q gives %v, %t on %q", p, topics.Names(), some, q)
		}
		if covers {
			return
		}
		// Some channel of other must be out of reach of pattern: itself, or a
		// child that neither of the two names.
		witness := strings.TrimSuffix(string(other), "*")
		if witness != string(other) {
			witness += "\U0010fffd"
		}
		if witness == p && witness != q {
			witness += "x"
		}
		if pattern.Matches(schemas.Channel(witness)) {
			t.Fatalf("%q does not cover %q, but matches its %q", p, q, witness)
		}
	})
}
