package handlers_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/handlers"
	"github.com/sluicehq/sluice/schemas"
)

// fuzzMaxEvent is small, so that the fuzzer's lines can exceed it.
const fuzzMaxEvent = 1 << 10

// FuzzPublishLines sends arbitrary bodies. Each line that is not empty gets one answer, and
// exactly what a line says is published.
func FuzzPublishLines(f *testing.F) {
	srv := start(f, func(o *setup) { o.broker.MaxEventBytes, o.handlers.MaxMessageBytes = fuzzMaxEvent, fuzzMaxEvent })
	for _, seed := range []string{
		"", "\n\r\n \n", line(1), line(1) + "\n" + line("\u2028<é>") + "\r\n", `{"channel":"c","topic":"t","data": {"a" : [1 , 2]},"run_id":"r\"","idempotency_key":"k"}`,
		line(strings.Repeat("x", 3*fuzzMaxEvent)) + "\n" + line(2), `{"channel":"a/é:*","topic":"$run","data":null}`, `{"channel":"a/../b","topic":"..","data":` + nested(501) + `}`, "null\n[]\n\xff\n{", `{"channel":"c","channel":"d","topic":"t","data":1}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := srv.broker.Head("c")
		feed, err := srv.broker.Subscribe(context.Background(), broker.Subscription{Channels: []broker.Selector{{Channel: "*"}}, Format: ring.NDJSON})
		if err != nil {
			t.Fatal(err)
		}
		defer feed.Close()
		req := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/publish", bytes.NewReader(body))
		req.Header.Set("Authorization", "Bearer "+apiKey)
		req.Header.Set("Content-Type", "application/x-ndjson")
		w := httptest.NewRecorder()
		srv.handler.ServeHTTP(w, req)
		receipts := checkAnswers(t, body, w.Body.Bytes())
		if published := srv.broker.Head("c").Seq - before.Seq; int(published) != len(receipts) {
			t.Fatalf("%d messages published, %d new receipts", published, len(receipts))
		}
		checkPublished(t, feed, receipts)
	})
}

// checkAnswers matches answers with lines. It returns the data of the newly published lines, by
// id.
func checkAnswers(t *testing.T, body, answers []byte) map[schemas.ID][]byte {
	t.Helper()
	receipts := map[schemas.ID][]byte{}
	out := bufio.NewReader(bytes.NewReader(answers))
	for text := range bytes.SplitSeq(body, []byte("\n")) {
		if len(text) <= 2*fuzzMaxEvent && len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		answer, err := out.ReadBytes('\n')
		var o outcome
		if err != nil || json.Unmarshal(answer, &o.receipt) != nil || json.Unmarshal(answer, &o.problem) != nil {
			t.Fatalf("line %q is answered with %q, %v", text, answer, err)
		}
		var sent struct {
			Channel, Topic string
			Data           json.RawMessage
		}
		valid := utf8.Valid(text) && json.Unmarshal(text, &sent) == nil && len(text) <= 2*fuzzMaxEvent
		switch {
		case o.problem.Status != 0 && o.receipt.Kind == "":
		case !valid || string(o.receipt.Channel) != sent.Channel || string(o.receipt.Topic) != sent.Topic:
			t.Fatalf("line %q is answered with %q", text, answer)
		case !o.receipt.Duplicate:
			receipts[o.receipt.ID] = sent.Data
		}
	}
	if rest, _ := io.ReadAll(out); len(rest) > 0 {
		t.Fatalf("answer %q to nothing", rest)
	}
	return receipts
}

// checkPublished reads the published messages back.
func checkPublished(t *testing.T, feed *broker.Stream, receipts map[schemas.ID][]byte) {
	t.Helper()
	var batch broker.Batch
	for left := len(receipts); left > 0; {
		if err := feed.Next(t.Context(), &batch); err != nil {
			t.Fatal(err)
		}
		for _, event := range batch.Events {
			var m schemas.Message
			if bytes.HasPrefix(event, []byte(`{"event"`)) {
				continue
			}
			if err := json.Unmarshal(event, &m); err != nil || bytes.Count(event, []byte("\n")) != 1 || len(event) > fuzzMaxEvent {
				t.Fatalf("event %q: %v", event, err)
			}
			var want bytes.Buffer
			if err := json.Compact(&want, receipts[m.ID]); err != nil || want.String() != string(m.Data) {
				t.Fatalf("%s was published, %s was sent: %v", m.Data, receipts[m.ID], err)
			}
			left--
		}
	}
}

// FuzzReadLine reads lines in pieces of any size.
func FuzzReadLine(f *testing.F) {
	f.Add([]byte("a\nbb\n\nccc"), uint8(2), false)
	f.Add(bytes.Repeat([]byte("x"), 70), uint8(40), true)
	f.Add([]byte("0123456789\n01234567890\nend"), uint8(10), true)
	f.Fuzz(func(t *testing.T, text []byte, limit uint8, breaks bool) {
		source := iotest.OneByteReader(bytes.NewReader(text))
		if breaks {
			source = io.MultiReader(source, iotest.ErrReader(io.ErrUnexpectedEOF))
		}
		in := bufio.NewReaderSize(source, 16)
		lines := bytes.Split(text, []byte("\n"))
		for i, want := range lines {
			got, err := handlers.ReadLine(in, int(limit))
			last := i == len(lines)-1
			switch {
			case last && breaks:
				if !errors.Is(err, io.ErrUnexpectedEOF) || len(got) > 0 {
					t.Fatalf("the broken line is %q, %v", got, err)
				}
			case len(want) > int(limit):
				if !errors.Is(err, handlers.ErrTooLarge) || len(got) > 0 {
					t.Fatalf("a line of %d bytes is %q, %v", len(want), got, err)
				}
			case !bytes.Equal(got, want) || last != errors.Is(err, io.EOF) || !last && err != nil:
				t.Fatalf("line %d is %q, %v, want %q", i, got, err, want)
			}
		}
	})
}

// FuzzWhole cuts text into chunks.
func FuzzWhole(f *testing.F) {
	f.Add([]byte("aé€😀"), 5)
	f.Add([]byte("\xf0\x9f\x98"), 4)
	f.Add([]byte("\x80\x80\x80\x80\xc3"), 4)
	f.Add([]byte("a\xe2\x82\xff"), 100)
	f.Fuzz(func(t *testing.T, text []byte, most int) {
		if most < utf8.UTFMax || most > 1<<20 {
			return
		}
		var joined strings.Builder
		for rest := text; len(rest) > 0; {
			n := handlers.Whole(rest, most)
			switch {
			case n > min(len(rest), most):
				t.Fatalf("%d of %q, at most %d", n, rest, most)
			case n == 0 && (len(rest) >= utf8.UTFMax || utf8.FullRune(rest)):
				t.Fatalf("nothing of %q can be sent", rest)
			case n == 0:
				n = len(rest) // the end of the body
			}
			joined.WriteString(strings.ToValidUTF8(string([]rune(string(rest[:n]))), ""))
			rest = rest[n:]
		}
		if want := string([]rune(string(text))); joined.String() != want {
			t.Fatalf("chunks make %q, want %q", joined.String(), want)
		}
	})
}

// FuzzPublishStream sends arbitrary bodies in pieces. The chunks together are the body, with
// U+FFFD in place of bytes that are not UTF-8.
func FuzzPublishStream(f *testing.F) {
	srv := start(f, func(o *setup) {
		o.broker.MaxEventBytes, o.handlers.MaxMessageBytes = fuzzMaxEvent*4, fuzzMaxEvent*4
		o.broker.Replay.Messages, o.broker.Replay.Bytes = 100_000, 64<<20
	})
	f.Add([]byte("aé€😀"), false)
	f.Add([]byte("\xf0\x9f\x98"), true)
	f.Add(bytes.Repeat([]byte("\x01\xff"), 3000), false)
	f.Fuzz(func(t *testing.T, body []byte, bytewise bool) {
		var in io.Reader = bytes.NewReader(body)
		if bytewise {
			in = iotest.OneByteReader(in)
		}
		req := httptest.NewRequestWithContext(t.Context(), "PUT", "/v1/publish/c/t/stream", in)
		req.Header.Set("Authorization", "Bearer "+apiKey)
		w := httptest.NewRecorder()
		srv.handler.ServeHTTP(w, req)
		if w.Code != 200 {
			t.Fatalf("%d: %s", w.Code, w.Body)
		}
		srv.t = t
		got := srv.messages("c")
		checkStream(t, got, string([]rune(string(body))), "complete")
		if err := srv.broker.Delete(context.Background(), "c"); err != nil {
			t.Fatal(err)
		}
	})
}
