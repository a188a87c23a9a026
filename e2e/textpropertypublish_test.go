package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// textPublisher publishes what is planned for a channel. A goroutine has one of its own.
type textPublisher struct {
	*textRound
	plan   *channelPlan
	http   *http.Client
	random *rand.Rand
}

// start publishes the texts of each topic, the parts and the noise at the same time.
func (p *textPublisher) start(ctx context.Context, running *sync.WaitGroup) {
	begin := func(do func(p *textPublisher)) {
		own := *p
		own.random = p.fork()
		running.Go(func() { do(&own) })
	}
	for _, topic := range []string{"a", "b"} {
		begin(func(p *textPublisher) {
			for _, x := range p.plan.texts {
				if x.topic == topic {
					p.writeText(ctx, x)
				}
			}
		})
	}
	begin(func(p *textPublisher) {
		for i, part := range p.plan.parts {
			seq := p.put(ctx, "parts", part.data(), fmt.Sprint("part-", i))
			p.plan.mu.Lock()
			p.plan.partIDs[i] = seq
			p.plan.mu.Unlock()
			p.pause(ctx, 30)
		}
	})
	begin(func(p *textPublisher) {
		for n := range p.plan.noise {
			if seq := p.put(ctx, "noise", fmt.Sprintf(`{"n":%d}`, n), ""); seq > 0 {
				p.plan.mu.Lock()
				p.plan.noiseAt[n] = seq
				p.plan.mu.Unlock()
			}
			p.pause(ctx, 30)
		}
	})
}

// pause waits now and then, for at most so many milliseconds.
func (p *textPublisher) pause(ctx context.Context, most int) {
	if p.random.IntN(2) == 0 {
		wait(ctx, time.Duration(p.random.IntN(most))*time.Millisecond)
	}
}

// put publishes a message, under a key until it is acknowledged, else once. It returns its
// position, 0 if that is not known.
func (p *textPublisher) put(ctx context.Context, topic, data, key string) uint64 {
	for {
		base := p.find(ctx, p.random)
		if base == "" {
			p.fail("a message to %s/%s was not published in time", p.plan.name, topic)
			return 0
		}
		status, answer := p.request(ctx, http.MethodPost, base+"/v1/publish/"+p.plan.name+"/"+topic, key, strings.NewReader(data))
		switch {
		case status == http.StatusCreated, status == http.StatusOK && key != "":
			return seqOf(p, answer.ID)
		case status != 0 && status < 500:
			p.fail("publish to %s/%s: %d %s", p.plan.name, topic, status, answer.Type)
			return 0
		case key == "":
			return 0
		}
		wait(ctx, 20*time.Millisecond)
	}
}

// textAnswer is a receipt, or a problem.
type textAnswer struct {
	ID      string
	Bytes   int
	FirstID string `json:"first_id"`
	LastID  string `json:"last_id"`
	Type    string
	Detail  string
	Offset  *int
}

// request returns the status of the answer, 0 if there is none.
func (p *textPublisher) request(ctx context.Context, method, url, key string, body io.Reader) (status int, answer textAnswer) {
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		p.Error(err)
		return 0, answer
	}
	req.Header.Set("Authorization", "Bearer "+testKey)
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := p.http.Do(req)
	if err != nil {
		return 0, answer
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return 0, answer
	}
	return resp.StatusCode, answer
}

// writeText publishes a text: of all attempts but the last one, something.
func (p *textPublisher) writeText(ctx context.Context, x *plannedText) {
	for i, text := range x.attempts {
		w := &textUpload{textPublisher: p, plannedText: x, attempt: i + 1, text: text}
		if i < len(x.attempts)-1 {
			w.send(ctx, 0, true)
			continue
		}
		offset, again := 0, true
		for again {
			offset, again = w.once(ctx, offset)
		}
	}
}

// textUpload is an attempt to publish a text.
type textUpload struct {
	*textPublisher
	*plannedText
	attempt int
	text    string
	sent    int // bytes of the text that may have arrived
	lost    int // requests that were not answered, or taken the text from
}

// once publishes the text from an offset on. Unless the text is complete then, it returns
// where to go on.
func (w *textUpload) once(ctx context.Context, offset int) (next int, again bool) {
	status, answer := w.send(ctx, offset, w.random.IntN(3) == 0)
	switch {
	case status == http.StatusOK:
		if answer.Bytes != len(w.text) {
			w.fail("%s %s: the receipt has %d bytes, want %d", w.plan.name, w.id, answer.Bytes, len(w.text))
		}
		w.plan.mu.Lock()
		w.first, w.last = seqOf(w, answer.FirstID), seqOf(w, answer.LastID)
		w.plan.mu.Unlock()
		return 0, false
	case status == http.StatusConflict && w.lost > 0 && strings.Contains(answer.Detail, "another connection"):
		// One that was lost had still been on its way, and has taken the text.
	case ctx.Err() != nil, status != 0 && status < 500 && answer.Offset == nil:
		w.fail("%s %s: attempt %d at %d is answered %d %s %s", w.plan.name, w.id, w.attempt, offset, status, answer.Type, answer.Detail)
		return 0, false
	case answer.Offset != nil:
		return *answer.Offset, true
	}
	w.lost++
	w.seen.wentOn.Add(1)
	if status != 0 {
		wait(ctx, 20*time.Millisecond) // it cannot be served now
	}
	return w.resumeAt(ctx), true
}

// resumeAt returns an offset to go on at: what the server has, all over again, or what has
// been sent, which may be more than has arrived.
func (w *textUpload) resumeAt(ctx context.Context) int {
	switch w.random.IntN(4) {
	case 0:
		return 0
	case 1:
		return startOfRune(w.text, w.sent)
	}
	base := w.find(ctx, w.random)
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, base+w.path(0), nil)
	if err != nil {
		return 0 // ctx has ended
	}
	req.Header.Set("Authorization", "Bearer "+testKey)
	resp, err := w.http.Do(req)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	var attempt, offset int
	_, _ = fmt.Sscan(resp.Header.Get("Stream-Attempt")+" "+resp.Header.Get("Stream-Offset"), &attempt, &offset)
	if attempt != w.attempt {
		return 0 // nothing of this one has arrived
	}
	if state := resp.Header.Get("Stream-State"); offset > len(w.text) || state != "open" && state != "complete" {
		w.fail("%s %s: %s at %d of %d", w.plan.name, w.id, state, offset, len(w.text))
		return 0
	}
	return startOfRune(w.text, offset-w.random.IntN(min(offset, 20)+1)) // what is sent twice is compared
}

// startOfRune returns the last offset up to i at which a character begins.
func startOfRune(text string, i int) int {
	for i > 0 && i < len(text) && !utf8.RuneStart(text[i]) {
		i--
	}
	return i
}

func (w *textUpload) path(offset int) string {
	return fmt.Sprintf("/v1/publish/%s/%s/stream?stream_id=%s&attempt=%d&offset=%d", w.plan.name, w.topic, w.id, w.attempt, offset)
}

// send sends the text from an offset on in random pieces, or some of it if the connection is
// to be cut.
func (w *textUpload) send(ctx context.Context, offset int, cut bool) (status int, answer textAnswer) {
	base := w.find(ctx, w.random)
	rest := w.text[offset:]
	if cut {
		rest = rest[:w.random.IntN(len(rest)+1)]
		w.seen.cut.Add(1)
	}
	pieces, pauses := w.pieces(rest)
	ctx, hangUp := context.WithCancel(ctx)
	defer hangUp()
	r, body := io.Pipe()
	defer r.Close()
	// Do waits for the body even if ctx has ended.
	defer context.AfterFunc(ctx, func() { body.CloseWithError(context.Canceled) })()
	go func() { // ends with the request
		for i, piece := range pieces {
			wait(ctx, pauses[i])
			if _, err := io.WriteString(body, piece); err != nil {
				return
			}
		}
		if cut {
			hangUp()
			return
		}
		body.Close()
	}()
	w.sent = max(w.sent, offset+len(rest))
	return w.request(ctx, http.MethodPost, base+w.path(offset), "", r)
}

// pieces divides a text anywhere, also within characters, and says how long to wait before
// each piece.
func (w *textUpload) pieces(text string) (pieces []string, pauses []time.Duration) {
	most := 1 + len(text)/100 + w.random.IntN(len(text)/8+20)
	for len(text) > 0 {
		n := min(len(text), 1+w.random.IntN(most))
		pieces, text = append(pieces, text[:n]), text[n:]
		pauses = append(pauses, 0)
		if w.random.IntN(2) == 0 {
			pauses[len(pauses)-1] = time.Duration(w.random.IntN(40)) * time.Millisecond
		}
	}
	return pieces, pauses
}
