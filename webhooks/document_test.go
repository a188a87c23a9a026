package webhooks_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/webhooks"
)

func TestParse(t *testing.T) {
	many := "webhooks:\n"
	for n := range 65 {
		many += fmt.Sprintf("- {url: https://a.test/%d, secret: %s}\n", n, secret)
	}
	good := "url: 'https://a.test/hooks?token=x', secret: " + secret
	for _, tt := range []struct {
		name, text string
		faults     []string // parts of them, in order
	}{
		{"none", "webhooks: []", nil},
		{"one", "webhooks: [{" + good + "}]", nil},
		{"json", `{"webhooks":[{"url":"http://10.0.0.1:8080","secret":"` + secret + `","events":["*"],"channels":["a:*","b"]}]}`, nil},
		{"several secrets", "webhooks: [{url: https://a.test, secret: " + secret + " " + secret + "}]", nil},
		{"a list of secrets", "webhooks: [{url: https://a.test, secret: [" + secret + ", " + secret + "]}]", nil},
		{"empty", "", []string{"it is empty"}},
		{"other member", "hooks: []", []string{`line 1: the document: unknown member "hooks"`}},
		{"nothing", "{}", []string{"webhooks is missing"}},
		{"no list", "webhooks: {}", []string{"webhooks: want a list"}},
		{"no members", "webhooks: [{}]", []string{"webhook 1: url is missing", "webhook 1: secret is missing"}},
		{"typing error", "webhooks: [{" + good + ", event: [run.failed]}]", []string{`webhook 1: unknown member "event"`}},
		{"url", "webhooks:\n- {url: ftp://user:pass@a.test, secret: " + secret + "}", []string{"line 2: webhook 1: url: want http:// or https://"}},
		{"no host", "webhooks: [{url: 'https:///x', secret: " + secret + "}]", []string{"url: want http"}},
		{"fragment", "webhooks: [{url: 'https://a.test/#x', secret: " + secret + "}]", []string{"fragment"}},
		{"twice", "webhooks: [{" + good + "}, {" + good + "}]", []string{"webhook 2: url: another webhook has the same"}},
		{"secret", "webhooks: [{url: https://a.test, secret: whsec_hunter2hunter2}]", []string{"secret: bad secret: want whsec_"}},
		{"no secret", "webhooks: [{url: https://a.test, secret: ''}]", []string{"want 1 to 8 secrets"}},
		{"event", "webhooks: [{" + good + ", events: [run.ended]}]", []string{"want *, channel.occupied, channel.vacated, run.completed, run.failed or run.cancelled"}},
		{"no event", "webhooks: [{" + good + ", events: []}]", []string{"leave it out for all events"}},
		{"channel", "webhooks: [{" + good + ", channels: ['a*', '$x']}]", []string{"channels: want the name of a channel", "channels: want the name of a channel"}},
		{"too many", many, []string{"there are 65 webhooks; at most 64 are allowed"}},
		{"two documents", "webhooks: []\n---\nwebhooks: []", []string{"more than one document"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "webhooks.yaml")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			faults := webhooks.CheckFile(path)
			text := fmt.Sprint(errors.Join(faults...))
			if len(faults) != len(tt.faults) || strings.Contains(text, "hunter2") || strings.Contains(text, "pass") || strings.Contains(text, "token=x") {
				t.Fatalf("got %s, want %q", text, tt.faults)
			}
			for i, part := range tt.faults {
				if !strings.Contains(faults[i].Error(), part) {
					t.Errorf("fault %d is %q, want %q", i, faults[i], part)
				}
			}
		})
	}
	if faults := webhooks.CheckFile(filepath.Join(t.TempDir(), "none")); len(faults) != 1 {
		t.Errorf("no file: %v", faults)
	}
}

// A file can say anything: it is read or refused.
func FuzzParse(f *testing.F) {
	f.Add("webhooks: [{url: https://a.test, secret: " + secret + ", events: ['*'], channels: ['a:*']}]")
	f.Add("webhooks: &a [*a]")
	f.Add("a: &a [1]\nwebhooks: *a")
	f.Fuzz(func(_ *testing.T, text string) { webhooks.Parse(text) })
}
