package e2e_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// maxGreeting is how many lines fit on a small screen, log lines aside.
const maxGreeting = 14

// TestGreeting runs every line that a development server prints, as it stands.
func TestGreeting(t *testing.T) {
	t.Parallel()
	s := start(t)
	if n := strings.Count(s.greeting, "\n"); n > maxGreeting {
		t.Errorf("it has %d lines", n)
	}
	lines := regexp.MustCompile(`(?m)^  (\S.*)$`).FindAllStringSubmatch(s.greeting, -1)
	if len(lines) != 5 {
		t.Fatalf("there are %d lines to paste, this test knows 5:\n%s", len(lines), s.greeting)
	}
	paste := func(i int) *process {
		return launch(t, nil, nil, "sh", "-c", lines[0][1]+"\nexec "+lines[i][1])
	}
	const subscribe, publish, curlSubscribe, curlPublish = 1, 2, 3, 4

	readers := []struct {
		*process
		open, message string
	}{
		{paste(subscribe), "", `"data":\{"message":"Hello"\}`},
		{paste(curlSubscribe), `(?m)^event: \$open\ndata: .*"pipeline:run_42".*\n\n`, `(?m)^event: status\ndata: .*"data":\{"message":"Hello"\}.*\n\n`},
	}
	for _, line := range []int{publish, curlPublish} {
		if receipt := paste(line).succeeds(t); !regexp.MustCompile(`^\{"id":"\w+-\d+","channel":"pipeline:run_42","topic":"status"`).MatchString(receipt) {
			t.Errorf("the receipt is %q", receipt)
		}
	}
	for _, r := range readers {
		for _, pattern := range []string{r.open, r.message, r.message + `(?s:.*)` + r.message} {
			if _, err := r.stdout.wait(within(t, patience), 0, pattern); err != nil {
				t.Error(err)
			}
		}
	}

	page := regexp.MustCompile(`(?m)^In a browser, (\S+) shows`).FindStringSubmatch(s.greeting)
	if page == nil || page[1] != s.url+"/" {
		t.Errorf("the page is %v", page)
	}
}

// TestGreeting_socket: what is printed for a Unix socket works, too.
func TestGreeting_socket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sluice.sock")
	p := launch(t, nil, nil, "sluice", "--dev", "--listen=unix:"+path)
	found, err := p.stdout.wait(within(t, patience), 0, `(?s)\n  (export \S+ \S+)\n.*\n  (\S+ publish [^\n]+)\n.*\n  (curl [^\n]+/v1/publish/[^\n]+)\n`)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range found[2:] {
		if receipt := launch(t, nil, nil, "sh", "-c", found[1]+"\n"+line).succeeds(t); !strings.HasPrefix(receipt, `{"id":"`) {
			t.Errorf("the receipt is %q", receipt)
		}
	}
}
