package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// words returns the text of an attempt: words that tell which attempt they are of and in
// which order they come.
func words(attempt, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%d-%d;", attempt, i)
	}
	return b.String()
}

// textURL returns where a text is published through a server.
func textURL(base, channel string, attempt, offset int) string {
	return fmt.Sprintf("%s/v1/publish/%s/draft/stream?stream_id=s&attempt=%d&offset=%d", base, channel, attempt, offset)
}

// textStatus asks how far a text has come.
func textStatus(t testing.TB, c *http.Client, base, channel string) (attempt, offset int, state string) {
	t.Helper()
	req, err := http.NewRequestWithContext(within(t, patience), http.MethodHead, textURL(base, channel, 1, 0), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+testKey)
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return 0, 0, ""
	}
	attempt, _ = strconv.Atoi(resp.Header.Get("Stream-Attempt"))
	offset, _ = strconv.Atoi(resp.Header.Get("Stream-Offset"))
	if resp.StatusCode != http.StatusOK || attempt == 0 {
		t.Fatalf("HEAD: %s %v", resp.Status, resp.Header)
	}
	return attempt, offset, resp.Header.Get("Stream-State")
}

// publishWords publishes the text of an attempt word by word, with pauses, and returns the
// status of the answer, or 0 if there is none, and its body.
func publishWords(t testing.TB, c *http.Client, base, channel string, attempt, n int, pause func()) (status int, answer string) {
	r, w := io.Pipe()
	go func() { // ends with the request
		for word := range strings.SplitAfterSeq(words(attempt, n), ";") {
			pause()
			if _, err := io.WriteString(w, word); err != nil {
				return
			}
		}
		w.Close()
	}()
	defer r.Close()
	req, err := http.NewRequestWithContext(within(t, patience), http.MethodPost, textURL(base, channel, attempt, 0), r)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	req.Header.Set("Authorization", "Bearer "+testKey)
	resp, err := c.Do(req)
	if err != nil {
		return 0, err.Error() // HTTP/1 may lose an answer that comes before the body has ended
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

// textMessage is what these tests need of a message.
type textMessage struct {
	Kind   string
	Offset int
	Data   json.RawMessage
}

// heardText is what somebody has heard of one text.
type heardText struct {
	script  []string // "+" and the attempt, or how it ended
	text    []string // of each attempt
	attempt int
	fault   string
}

// hear takes the next message.
func (h *heardText) hear(m textMessage) {
	var data struct {
		Attempt int
		Reason  string
	}
	if m.Kind != "chunk" {
		_ = json.Unmarshal(m.Data, &data)
	}
	switch {
	case m.Kind == "datastream-start":
		if h.attempt != 0 {
			h.fault = fmt.Sprintf("attempt %d begins in %d", data.Attempt, h.attempt)
		}
		h.attempt = data.Attempt
		h.script = append(h.script, fmt.Sprint("+", data.Attempt))
		h.text = append(h.text, "")
	case h.attempt == 0:
		h.fault = fmt.Sprintf("a %s outside a text", m.Kind)
	case m.Kind == "datastream-end":
		h.script = append(h.script, data.Reason)
		h.attempt = 0
	default:
		last := &h.text[len(h.text)-1]
		if m.Offset != len(*last) {
			h.fault = fmt.Sprintf("a chunk at %d after %d bytes", m.Offset, len(*last))
		}
		var piece string
		_ = json.Unmarshal(m.Data, &piece)
		*last += piece
		if !strings.HasPrefix(words(h.attempt, 1000), *last) {
			h.fault = fmt.Sprintf("attempt %d says %q", h.attempt, *last)
		}
	}
}

// expect checks that the last attempt was complete.
func (h *heardText) expect(t testing.TB, who string, attempt, n int) {
	t.Helper()
	whole := len(h.text) > 0 && h.text[len(h.text)-1] == words(attempt, n)
	if h.fault != "" || !whole || h.attempt != 0 || h.script[len(h.script)-1] != "complete" {
		t.Errorf("%s has heard %v %q: %s", who, h.script, h.text, h.fault)
	}
}

// historyOf returns what a server holds of a channel's text.
func historyOf(t testing.TB, c *http.Client, base, channel string) *heardText {
	t.Helper()
	var page struct{ Messages []textMessage }
	if status := call(t, c, testKey, "GET", base+"/v1/channels/"+channel+"/messages?limit=1000", "", &page); status != 200 {
		t.Fatalf("history: %d", status)
	}
	h := new(heardText)
	for _, m := range page.Messages {
		h.hear(m)
	}
	return h
}

// textListener follows the texts of a number of channels live.
type textListener struct {
	mu    sync.Mutex
	heard map[string]*heardText // guarded by mu
}

// listenToTexts follows channels, which match the pattern, until the test ends.
func listenToTexts(t testing.TB, s *server, pattern string) *textListener {
	t.Helper()
	l := &textListener{heard: make(map[string]*heardText)}
	in, _ := s.subscribe(t, "channel="+pattern, "")
	go func() { // ends with the stream
		for {
			e, err := in.events.next()
			if err != nil {
				return
			}
			l.take(e)
		}
	}()
	return l
}

func (l *textListener) take(e event) {
	var m struct {
		textMessage
		Channel string
	}
	if e.Type != "draft" && e.Type != "$gap" || json.Unmarshal([]byte(e.Data), &m) != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.heard[m.Channel]
	if h == nil {
		h = new(heardText)
		l.heard[m.Channel] = h
	}
	if e.Type == "$gap" {
		h.fault = "gap " + e.Data
		return
	}
	h.hear(m.textMessage)
}

// complete reports whether an attempt has ended as complete.
func (l *textListener) complete(channel string, attempt int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.heard[channel]
	return h != nil && strings.HasSuffix(fmt.Sprint(h.script), fmt.Sprintf("+%d complete]", attempt))
}

// expect waits for the end of a text and checks it.
func (l *textListener) expect(t testing.TB, channel string, attempt, n int) {
	t.Helper()
	eventually(t, func() bool { return l.complete(channel, attempt) })
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard[channel].expect(t, "the listener to "+channel, attempt, n)
}

// serversOf returns what publishes texts: one node with each engine, or a cluster.
func serversOf() map[string]func(t testing.TB) []*server {
	limits := []string{"--api-keys=" + testKey, "--signing-secret=" + strings.Repeat("s", 64), "--replay-messages=8", "--text-grace=10m"}
	return map[string]func(t testing.TB) []*server{
		"memory": func(t testing.TB) []*server { return []*server{serve(t, nil, "sluice", limits...)} },
		"disk": func(t testing.TB) []*server {
			return []*server{serve(t, nil, "sluice", append([]string{"--data=" + t.TempDir()}, limits...)...)}
		},
		"cluster": func(t testing.TB) (nodes []*server) {
			for _, n := range startCluster(t, limits[2:]...).nodes {
				nodes = append(nodes, n.server)
			}
			return nodes
		},
	}
}

// TestText_attemptsAtOnce lets two attempts write one text at the same time, over and over,
// each through any node: everybody hears the first one up to where the second one begins,
// and then the second one whole.
func TestText_attemptsAtOnce(t *testing.T) {
	for name, servers := range serversOf() {
		t.Run(name, func(t *testing.T) {
			nodes := servers(t)
			rounds := 100
			if len(nodes) > 1 {
				rounds = 1000
			}
			const atOnce, n = 16, 8
			live := listenToTexts(t, nodes[0], "fence:*")
			c := newClient(t)
			slots := make(chan struct{}, atOnce)
			var running sync.WaitGroup
			for round := range rounds {
				slots <- struct{}{}
				running.Go(func() {
					defer func() { <-slots }()
					twoAttempts(t, c, nodes, fmt.Sprint("fence:", round), n)
				})
			}
			running.Wait()
			superseded := 0
			for round := range rounds {
				channel := fmt.Sprint("fence:", round)
				live.expect(t, channel, 2, n)
				held := historyOf(t, c, nodes[round%len(nodes)].url, channel)
				held.expect(t, "who asks for the history of "+channel, 2, n)
				if slices.Contains(held.script, "superseded") {
					superseded++
				}
			}
			if superseded < rounds/10 {
				t.Errorf("of %d texts only %d were taken over", rounds, superseded)
			}
			t.Logf("%d texts, %d taken over in the middle", rounds, superseded)
		})
	}
}

func twoAttempts(t testing.TB, c *http.Client, nodes []*server, channel string, n int) {
	pause := func() { sleep(t.Context(), time.Duration(rand.IntN(12))*time.Millisecond) }
	var both sync.WaitGroup
	for attempt := 1; attempt <= 2; attempt++ {
		base := nodes[rand.IntN(len(nodes))].url
		both.Go(func() {
			if attempt == 2 {
				sleep(t.Context(), time.Duration(rand.IntN(80))*time.Millisecond)
			}
			status, answer := publishWords(t, c, base, channel, attempt, n, pause)
			switch {
			case attempt == 2 && status != 200, attempt == 1 && status != 0 && status != 200 && status != 409:
				t.Errorf("%s: attempt %d is answered %d %s", channel, attempt, status, answer)
			case status == 409 && !strings.Contains(answer, "superseded"):
				t.Errorf("%s: attempt %d is answered %s", channel, attempt, answer)
			}
		})
	}
	both.Wait()
}

// TestText_publishersKilled kills the publisher of a text with SIGKILL, over and over, and
// lets the next one go on, at any node: the text is whole.
func TestText_publishersKilled(t *testing.T) {
	for name, servers := range serversOf() {
		t.Run(name, func(t *testing.T) {
			nodes := servers(t)
			const kills, each = 200, 3
			const n = 1000
			text := words(1, n)
			live := listenToTexts(t, nodes[0], "killed")
			c := newClient(t)
			for k := range kills {
				base := nodes[rand.IntN(len(nodes))].url
				_, offset, state := textStatus(t, c, base, "killed")
				if k > 0 && state != "open" {
					t.Fatalf("after %d kills the text is %s", k, state)
				}
				back := rand.IntN(min(offset, 10) + 1) // what is sent twice is compared
				curl, out := upload(t, testKey, textURL(base, "killed", 1, offset-back), "-T", "-")
				piece := text[offset-back : min(len(text), offset+1+rand.IntN(each*6))]
				if _, err := io.WriteString(out, piece); err != nil {
					t.Fatal(err)
				}
				if k == 0 || rand.IntN(2) == 0 { // otherwise it is killed at any moment
					eventually(t, func() bool { _, now, _ := textStatus(t, c, base, "killed"); return now > offset })
				}
				curl.kill()
				out.Close()
			}
			base := nodes[0].url
			_, offset, _ := textStatus(t, c, base, "killed")
			curl, out := upload(t, testKey, textURL(base, "killed", 1, offset), "-T", "-")
			if _, err := io.WriteString(out, text[offset:]); err != nil {
				t.Fatal(err)
			}
			out.Close()
			if answer := curl.succeeds(t); !strings.Contains(answer, fmt.Sprintf(`"bytes":%d`, len(text))) {
				t.Errorf("answered %s", answer)
			}
			live.expect(t, "killed", 1, n)
			for _, node := range nodes {
				historyOf(t, c, node.url, "killed").expect(t, "who asks for the history", 1, n)
			}
			if attempt, held, state := textStatus(t, c, base, "killed"); attempt != 1 || held != len(text) || state != "complete" {
				t.Errorf("the text is %d %d %s", attempt, held, state)
			}
		})
	}
}

// TestText_publisherStopped stops a publisher, and in a cluster a node, with SIGSTOP. It
// wakes up when another attempt has begun, and not a word of it is heard.
func TestText_publisherStopped(t *testing.T) {
	for name, servers := range serversOf() {
		t.Run(name, func(t *testing.T) {
			nodes := servers(t)
			const rounds, n = 10, 8
			c := newClient(t)
			last := len(nodes) - 1
			live := listenToTexts(t, nodes[last], "stopped:*")
			for round := range rounds {
				channel := fmt.Sprint("stopped:", round)
				curl, out := upload(t, testKey, textURL(nodes[0].url, channel, 1, 0), "-T", "-")
				if _, err := io.WriteString(out, words(1, 3)); err != nil {
					t.Fatal(err)
				}
				eventually(t, func() bool { _, offset, _ := textStatus(t, c, nodes[last].url, channel); return offset > 0 })
				stopped := curl
				if last > 0 && round%2 == 1 {
					stopped = nodes[0].process
				}
				stopped.signal(t, syscall.SIGSTOP)
				if _, err := io.WriteString(out, words(1, n)[len(words(1, 3)):]); err != nil {
					t.Fatal(err)
				}
				status, answer := publishWords(t, c, nodes[last].url, channel, 2, n, func() {})
				stopped.signal(t, syscall.SIGCONT)
				if status != 200 {
					t.Fatalf("attempt 2: %d %s", status, answer)
				}
				out.Close()
				curl.exitCode(t)
				if got := curl.stdout.String(); !strings.Contains(got, "/problems/superseded") {
					t.Errorf("the first attempt is answered %q", got)
				}
				live.expect(t, channel, 2, n)
				for _, node := range nodes {
					historyOf(t, c, node.url, channel).expect(t, "who asks for the history", 2, n)
				}
			}
		})
	}
}
