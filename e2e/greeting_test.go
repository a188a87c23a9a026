package e2e_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// TestGreeting runs every line that a development server prints, as it stands.
func TestGreeting(t *testing.T) {
	t.Parallel()
	s := start(t)
	lines := regexp.MustCompile(`(?m)^  (curl .*)$`).FindAllStringSubmatch(s.greeting, -1)
	if len(lines) != 4 {
		t.Fatalf("there are %d lines to paste, this test knows 4:\n%s", len(lines), s.greeting)
	}
	paste := func(i int) *process { return launch(t, nil, nil, "sh", "-c", lines[i][1]) }

	subscribed := paste(0)
	if _, err := subscribed.stdout.wait(within(t, patience), 0, `(?m)^event: \$open\ndata: .*"pipeline:run_42".*\n\n`); err != nil {
		t.Fatal(err)
	}
	receipt := paste(1).succeeds(t)
	id := regexp.MustCompile(`^\{"id":"(\w+-\d+)"`).FindStringSubmatch(receipt)
	if id == nil {
		t.Fatalf("the receipt is %q", receipt)
	}
	message := `(?m)^id: ` + id[1] + `\nevent: status\ndata: .*"data":\{"message":"Hello"\}.*\n\n`
	for _, p := range []*process{subscribed, paste(2)} {
		if _, err := p.stdout.wait(within(t, patience), 0, message); err != nil {
			t.Error(err)
		}
	}

	minted := regexp.MustCompile(`"token":"([^"]+)"`).FindStringSubmatch(paste(3).succeeds(t))
	if minted == nil {
		t.Fatal("no token was minted")
	}
	in, _ := subscribe(t, newClient(t), s.url+"/v1/subscribe", minted[1], "")
	s.publish(t, "user:7", "inbox", "1")
	in.expect(t, "inbox")

	expectPage(t, s)
}

// expectPage opens the address of the page.
func expectPage(t *testing.T, s *server) {
	page := regexp.MustCompile(`(?m)^  Page     (\S+)$`).FindStringSubmatch(s.greeting)
	if page == nil {
		t.Fatal("no page is named")
	}
	address, fragment, _ := strings.Cut(page[1], "#")
	if !strings.Contains(fragment, "key="+s.key) {
		t.Errorf("the page is given %q, without the key", fragment)
	}
	resp, err := newClient(t).Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		t.Errorf("the page is %s, %s", resp.Status, resp.Header.Get("Content-Type"))
	}
}
