package client_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/client"
)

// textServer answers the requests that publish a text, one after the other, and HEAD with what
// it was told to know.
type textServer struct {
	status string      // static; what HEAD answers: attempt, offset and state; "": 404
	posts  []transport // guarded by mu; the answers to POST; later ones are receipts

	mu    sync.Mutex
	asked []string // guarded by mu; method, query (without names) and body
}

// requests returns what the server was asked. HEAD may still come while a POST is answered.
func (s *textServer) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

func (s *textServer) answer(r *http.Request) (*http.Response, error) {
	n, post := s.ask(r)
	switch {
	case r.Method == http.MethodHead:
		return textStatus(s.status), nil
	case post != nil:
		return post(r)
	case r.Body != nil:
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		s.mu.Lock()
		s.asked[n] = strings.TrimSpace(s.asked[n] + " " + string(body))
		s.mu.Unlock()
	}
	return answer(200, "application/json", strings.NewReader("{}")), nil
}

// ask notes the n-th request, and returns its answer if one was prepared.
func (s *textServer) ask(r *http.Request) (n int, post transport) {
	query := r.URL.Query()
	for _, name := range []string{"channel", "topic", "stream_id"} {
		query.Del(name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, strings.TrimSpace(r.Method+" "+query.Encode()))
	if r.Method != http.MethodHead && len(s.posts) > 0 {
		post, s.posts = s.posts[0], s.posts[1:]
	}
	return len(s.asked) - 1, post
}

// textStatus returns the answer to HEAD: attempt, offset and state; "" if it knows nothing.
func textStatus(status string) *http.Response {
	var attempt, offset int
	var state string
	if n, _ := fmt.Sscan(status, &attempt, &offset, &state); n != 3 {
		return answer(404, "", http.NoBody)
	}
	return answer(200, "", http.NoBody, "Stream-Attempt: "+strconv.Itoa(attempt), "Stream-Offset: "+strconv.Itoa(offset), "Stream-State: "+state)
}

// cutAfter reads n bytes of a body, then the connection breaks.
func cutAfter(n int64) transport {
	return func(r *http.Request) (*http.Response, error) {
		if _, err := io.CopyN(io.Discard, r.Body, n); err != nil {
			return nil, err
		}
		return nil, errors.New("connection reset")
	}
}

func refuse(status int, slug, more string) transport {
	return func(*http.Request) (*http.Response, error) {
		return answer(status, "application/problem+json", strings.NewReader(`{"type":"/problems/`+slug+`","title":"T"`+more+`}`)), nil
	}
}

// After a failure, the text goes on where the server is. It repeats the last character that
// the server has.
func TestClient_PublishStream_goesOn(t *testing.T) {
	const text = "aé🙂z" // offsets 0, 1, 3, 7; 8 bytes
	tests := []struct {
		name    string
		failure transport
		status  string
		want    string // the second POST
	}{
		{"in the middle", cutAfter(8), "1 3 open", "POST offset=1 é🙂z"},
		{"after a character of four bytes", cutAfter(8), "1 7 open", "POST offset=3 🙂z"},
		{"at the end", cutAfter(8), "1 8 open", "POST offset=7 z"},
		{"at the beginning", cutAfter(8), "1 0 open", "POST aé🙂z"},
		{"the server has more than was sent here", cutAfter(8), "1 80 open", "POST offset=7 z"},
		{"the answer was lost", cutAfter(8), "1 8 complete", "POST offset=7 z"},
		{"never arrived", cutAfter(1), "", "POST aé🙂z"},
		{"forgotten", cutAfter(8), "", "POST aé🙂z"},
		{"given up", cutAfter(8), "1 7 aborted", "POST attempt=2 aé🙂z"},
		{"not seen, an earlier one is", cutAfter(8), "0 7 open", "POST aé🙂z"},
		{"draining", problem(503, "draining"), "1 3 open", "POST offset=1 é🙂z"},
		{"a fault of the server", foreign(500), "1 3 open", "POST offset=1 é🙂z"},
		{"the server has less", refuse(409, "conflict", `,"offset":3`), "1 3 open", "POST offset=1 é🙂z"},
		{"cannot go on", refuse(409, "conflict", `,"state":"aborted"`), "1 3 aborted", "POST attempt=2 aé🙂z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &textServer{status: tt.status, posts: []transport{tt.failure}}
				if _, err := over(t, s.answer).PublishStream(t.Context(), "c", "t", strings.NewReader(text)); err != nil {
					t.Error(err)
				}
				if want := []string{"POST", "HEAD", strings.TrimSpace(tt.want)}; !slices.Equal(s.requests(), want) {
					t.Errorf("requests %q, want %q", s.requests(), want)
				}
			})
		})
	}
}

// A request that was cut may take the text from its successor, if the server gets to it late. The
// publisher takes it back once, from the same offset, where the server compares it.
func TestClient_PublishStream_takenByItself(t *testing.T) {
	taken := problem(409, "conflict")
	for _, tt := range []struct {
		name  string
		posts []transport
		fails bool
		want  []string
	}{
		{"once", []transport{cutAfter(3), taken}, false, []string{"POST", "HEAD", "POST offset=1", "POST offset=1 ext"}},
		{"twice", []transport{cutAfter(3), cutAfter(3), taken, taken}, false, []string{"POST", "HEAD", "POST offset=1", "HEAD", "POST offset=1", "POST offset=1", "POST offset=1 ext"}},
		{"and by somebody else", []transport{cutAfter(3), taken, taken}, true, []string{"POST", "HEAD", "POST offset=1", "POST offset=1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &textServer{status: "1 2 open", posts: tt.posts}
				_, err := over(t, s.answer).PublishStream(t.Context(), "c", "t", strings.NewReader("text"))
				if errors.Is(err, client.ErrConflict) != tt.fails || (err != nil) != tt.fails {
					t.Error(err)
				}
				if got := s.requests(); !slices.Equal(got, tt.want) {
					t.Errorf("requests %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// What the server says for good is final, and a caller can tell it apart.
func TestClient_PublishStream_final(t *testing.T) {
	tests := []struct {
		name                 string
		answer               transport
		superseded, conflict bool
	}{
		{"superseded", problem(409, "superseded"), true, false},
		{"conflict", problem(409, "conflict"), false, true},
		{"forbidden", problem(403, "forbidden"), false, false},
		{"unauthorized", problem(401, "unauthorized"), false, false},
		{"malformed", refuse(400, "malformed", `,"offset":3`), false, false},
		{"a page of a proxy", foreign(409), false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &textServer{posts: []transport{tt.answer}}
			_, err := over(t, s.answer).PublishStream(t.Context(), "c", "t", strings.NewReader("text"))
			if problem := (*client.Problem)(nil); !errors.As(err, &problem) || len(s.requests()) != 1 {
				t.Errorf("after %q: %v", s.requests(), err)
			}
			if got := errors.Is(err, client.ErrSuperseded); got != tt.superseded {
				t.Errorf("%v is superseded: %t", err, got)
			}
			if got := errors.Is(err, client.ErrConflict); got != tt.conflict {
				t.Errorf("%v is a conflict: %t", err, got)
			}
		})
	}
}

// A later attempt is found when the server is asked. Its refusal is the error.
func TestClient_PublishStream_supersededMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &textServer{status: "2 1 open", posts: []transport{cutAfter(1), problem(409, "superseded")}}
		_, err := over(t, s.answer).PublishStream(t.Context(), "c", "t", strings.NewReader("text"))
		if !errors.Is(err, client.ErrSuperseded) || len(s.requests()) != 3 {
			t.Errorf("after %q: %v", s.requests(), err)
		}
	})
}

// Retries are counted from the last progress on.
func TestClient_PublishStream_retries(t *testing.T) {
	for _, tt := range []struct {
		name  string
		moves bool // the server
		want  int  // POSTs
	}{{"no progress", false, 3}, {"progress", true, 9}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				posts := 0
				c := over(t, func(r *http.Request) (*http.Response, error) {
					switch {
					case r.Method == http.MethodHead && tt.moves:
						return textStatus(fmt.Sprintf("1 %d open", posts)), nil
					case r.Method == http.MethodHead:
						return textStatus("1 1 open"), nil
					}
					if posts++; posts == 9 {
						return answer(200, "application/json", strings.NewReader("{}")), nil
					}
					return nil, errors.New("connection reset")
				}, client.WithRetries(2))
				_, err := c.PublishStream(t.Context(), "c", "t", strings.NewReader("a longer text"))
				// The first answer to HEAD is progress.
				if want := tt.want; posts != want && posts != want+1 || (err == nil) != tt.moves {
					t.Errorf("%d requests, then %v", posts, err)
				}
			})
		})
	}
}

// dead takes five bytes of a body and then nothing more.
func dead(r *http.Request) (*http.Response, error) {
	io.CopyN(io.Discard, r.Body, 5)
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestClient_PublishStream_stallsForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &textServer{status: "1 3 open", posts: []transport{dead, dead, dead}}
		_, err := over(t, s.answer, client.WithRetries(1)).PublishStream(t.Context(), "c", "t", strings.NewReader("Hello"))
		if err == nil || errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "the connection is dead") {
			t.Errorf("error %v", err)
		}
	})
}

// A connection that is dead, but was never closed, is given up, and the text goes on.
func TestClient_PublishStream_stalls(t *testing.T) {
	for _, tt := range []struct {
		name, status string
		silent       bool   // the text, after its first five bytes
		want         string // the next POST; "": it is not given up
	}{
		{"in the middle", "1 3 open", false, "POST offset=2 llo"},
		{"before the end", "1 5 open", false, "POST offset=4 o"},
		{"before the answer", "1 5 complete", false, "POST offset=4 o"},
		{"given up", "1 3 aborted", false, "POST attempt=2 Hello"},
		{"superseded", "2 9 open", false, "POST Hello"},
		{"held back by a proxy", "", false, ""},
		{"the text is silent", "1 5 open", true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				begun := time.Now()
				var text io.Reader = strings.NewReader("Hello")
				if tt.silent {
					text = io.MultiReader(text, readerFunc(func([]byte) (int, error) { <-ctx.Done(); return 0, io.EOF }))
				}
				s := &textServer{status: tt.status, posts: []transport{dead}}
				_, err := over(t, s.answer).PublishStream(ctx, "c", "t", text)
				if tt.want == "" {
					if !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("after %v %q: %v", time.Since(begun), s.requests(), err)
					}
					return
				}
				if took := time.Since(begun); err != nil || took < 30*time.Second || took > 46*time.Second {
					t.Errorf("after %v %q: %v", took, s.requests(), err)
				}
				if asked := s.requests(); asked[len(asked)-1] != tt.want {
					t.Errorf("%q, the last one should be %s", asked, tt.want)
				}
			})
		})
	}
}

// Without retries nobody goes on, so the server need not wait for that.
func TestClient_PublishStream_withoutRetries(t *testing.T) {
	var asked []string
	c := over(t, func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.Method+" "+r.URL.Query().Get("stream_id"))
		return nil, errors.New("connection reset")
	}, client.WithRetries(0))
	_, err := c.PublishStream(t.Context(), "c", "t", strings.NewReader("text"))
	if err == nil || !slices.Equal(asked, []string{"POST "}) {
		t.Errorf("after %q: %v", asked, err)
	}
}

// A text that is longer than what is kept goes over one connection also if nothing of it is
// ever confirmed.
func TestClient_PublishStream_longWithoutRetries(t *testing.T) {
	var got int64
	c := over(t, func(r *http.Request) (*http.Response, error) {
		n, err := io.Copy(io.Discard, r.Body)
		got = n
		return answer(200, "application/json", strings.NewReader("{}")), err
	}, client.WithRetries(0))
	text := io.LimitReader(letters{}, 3*client.MaxTextBytes)
	if _, err := c.PublishStream(t.Context(), "c", "t", text); err != nil || got != 3*client.MaxTextBytes {
		t.Errorf("%d bytes, then %v", got, err)
	}
}

// letters is a text without an end.
type letters struct{}

func (letters) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a' + byte(i%26)
	}
	return len(p), nil
}

// While the server takes nothing, no more is read than is kept, and all of that is used.
func TestClient_PublishStream_backPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var taken, offset atomic.Int64
		source := readerFunc(func(p []byte) (int, error) {
			n, err := letters{}.Read(p)
			taken.Add(int64(n))
			return n, err
		})
		released := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		c := over(t, func(r *http.Request) (*http.Response, error) {
			switch r.Method {
			case http.MethodHead:
				return textStatus(fmt.Sprintf("1 %d open", offset.Load())), nil
			case http.MethodDelete:
				return answer(204, "", http.NoBody), nil
			}
			<-released
			_, err := io.Copy(io.Discard, r.Body)
			return nil, err
		})
		done := make(chan error, 1)
		go func() {
			_, err := c.PublishStream(ctx, "c", "t", source)
			done <- err
		}()
		time.Sleep(time.Minute) // of the bubble
		synctest.Wait()
		if n := taken.Load(); n > client.MaxTextBytes || n < client.MaxTextBytes*9/10 {
			t.Errorf("%d bytes were taken, %d are kept", n, client.MaxTextBytes)
		}
		// What is confirmed makes room, no more.
		close(released)
		offset.Store(client.MaxTextBytes * 3 / 4)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n, most := taken.Load(), offset.Load()+client.MaxTextBytes; n > most || n < most*9/10 {
			t.Errorf("%d bytes were taken, at most %d can be kept", n, most)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	})
}

// What the server has is kept as long as there is room: it may forget.
func TestClient_PublishStream_keepsWhatIsConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &textServer{status: "1 5 open"}
		s.posts = []transport{cutAfter(5), func(r *http.Request) (*http.Response, error) {
			s.status = "" // once it has the rest
			return cutAfter(3)(r)
		}}
		late := readerFunc(func([]byte) (int, error) { time.Sleep(time.Minute); return 0, io.EOF }) // of the bubble
		text := io.MultiReader(strings.NewReader("Hello"), late, strings.NewReader(", world"))
		_, err := over(t, s.answer).PublishStream(t.Context(), "c", "t", text)
		if want := []string{"POST", "HEAD", "POST offset=4", "HEAD", "POST Hello, world"}; err != nil || !slices.Equal(s.requests(), want) {
			t.Errorf("requests %q, want %q; %v", s.requests(), want, err)
		}
	})
}

// What the server has of an attempt that cannot go on is kept: the next one needs it.
func TestClient_PublishStream_keepsWhatIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const half, size = client.MaxTextBytes / 2, client.MaxTextBytes + 1
		var second atomic.Int64 // how much of the second attempt has arrived
		c := over(t, func(r *http.Request) (*http.Response, error) {
			switch n := second.Load(); {
			case r.Method == http.MethodHead && n > 0:
				return textStatus(fmt.Sprintf("2 %d open", n)), nil
			case r.Method == http.MethodHead:
				return textStatus(fmt.Sprintf("1 %d aborted", half)), nil
			case r.URL.Query().Get("attempt") == "":
				time.Sleep(time.Minute) // of the bubble; the buffer is full meanwhile
				return nil, errors.New("connection reset")
			}
			for {
				n, err := r.Body.Read(make([]byte, 4096))
				second.Add(int64(n))
				if err == io.EOF {
					return answer(200, "application/json", strings.NewReader("{}")), nil
				} else if err != nil {
					return nil, err
				}
			}
		})
		_, err := c.PublishStream(t.Context(), "c", "t", io.LimitReader(letters{}, size))
		if err != nil || second.Load() != size {
			t.Errorf("%d bytes, then %v", second.Load(), err)
		}
	})
}

// A text whose beginning is no longer kept cannot begin again, and the error says so, unless
// it need not.
func TestClient_PublishStream_lost(t *testing.T) {
	for status, want := range map[string]error{
		"1 3000000 aborted": client.ErrTextLost,
		"":                  client.ErrTextLost,
		"1 1000 open":       client.ErrTextLost,
		"2 1000 open":       client.ErrSuperseded,
	} {
		t.Run(status, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const most = 3 * client.MaxTextBytes
				var got atomic.Int64
				c := over(t, func(r *http.Request) (*http.Response, error) {
					n, err := got.Load(), error(nil)
					switch {
					case r.Method == http.MethodHead && n >= most:
						return textStatus(status), nil
					case r.Method == http.MethodHead:
						return textStatus(fmt.Sprintf("1 %d open", n)), nil
					case n >= most:
						return problem(409, "superseded")(r)
					}
					for n < most && err == nil {
						var more int
						more, err = r.Body.Read(make([]byte, 4096))
						n = got.Add(int64(more))
					}
					return nil, cmp.Or(err, errors.New("connection reset"))
				})
				_, err := c.PublishStream(t.Context(), "c", "t", letters{})
				if !errors.Is(err, want) {
					t.Errorf("error %v, want %v", err, want)
				}
			})
		})
	}
}

// Offsets count what the server makes of the text, so it is valid UTF-8 already when it is
// sent, however it is read.
func TestClient_PublishStream_isUTF8(t *testing.T) {
	for text, want := range map[string]string{
		"é🙂":                "é🙂",
		"a\xffb":            "a\ufffdb",
		"\xf0\x9f\x99":      "\ufffd\ufffd\ufffd",
		"\xf0\x9f\x99\xc3é": "\ufffd\ufffd\ufffd\ufffdé",
		"":                  "",
	} {
		for name, source := range map[string]io.Reader{
			"whole":        strings.NewReader(text),
			"bytes":        iotest.OneByteReader(strings.NewReader(text)),
			"with the end": iotest.DataErrReader(strings.NewReader(text)),
		} {
			s := new(textServer)
			_, err := over(t, s.answer).PublishStream(t.Context(), "c", "t", source)
			if err != nil || s.requests()[0] != strings.TrimSpace("POST "+want) {
				t.Errorf("%q, %s: %q, %v", text, name, s.requests(), err)
			}
		}
	}
}

// What came before a failure of the text is sent, also over another connection. Then the text
// is given up.
func TestClient_PublishStream_sendsAllBeforeFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got string
		s := &textServer{status: "1 2 open", posts: []transport{cutAfter(1), func(r *http.Request) (*http.Response, error) {
			body, err := io.ReadAll(r.Body)
			got = string(body)
			return nil, err
		}}}
		gone := errors.New("model gone")
		_, err := over(t, s.answer).PublishStream(t.Context(), "c", "t", io.MultiReader(strings.NewReader("Hello"), iotest.ErrReader(gone)))
		if want := []string{"POST", "HEAD", "POST offset=1", "DELETE attempt=1"}; !errors.Is(err, gone) || got != "ello" || !slices.Equal(s.requests(), want) {
			t.Errorf("%q was sent in %q, then %v", got, s.requests(), err)
		}
	})
}

// A token that expires in the middle is replaced, once.
func TestClient_PublishStream_renews(t *testing.T) {
	for _, tt := range []struct {
		name    string
		refused int
		want    bool
	}{{"once", 1, true}, {"again", 2, false}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &textServer{status: "1 0 open", posts: slices.Repeat([]transport{problem(401, "unauthorized")}, tt.refused)}
				source := client.WithCredentials(func(context.Context) (string, error) { return "token", nil })
				_, err := over(t, s.answer, source).PublishStream(t.Context(), "c", "t", strings.NewReader("text"))
				if (err == nil) != tt.want {
					t.Errorf("after %q: %v", s.requests(), err)
				}
			})
		})
	}
}

// The end of ctx is noticed although the text is silent.
func TestClient_PublishStream_cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	reading, silent := io.Pipe()
	defer silent.Close()
	c := serving(t, func(_ http.ResponseWriter, r *http.Request) {
		io.ReadFull(r.Body, make([]byte, 1))
		cancel()
		io.Copy(io.Discard, r.Body)
	})
	_, err := c.PublishStream(ctx, "c", "t", io.MultiReader(strings.NewReader("a"), reading))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// A connection that breaks while the text is silent is noticed, and the text is taken up
// again before its next piece: the server waits for a limited time only.
func TestClient_PublishStream_breaksInSilence(t *testing.T) {
	reading, silent := io.Pipe()
	posts, got := 0, ""
	c := serving(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			w.Header().Set("Stream-Attempt", "1")
			w.Header().Set("Stream-Offset", "1")
			w.Header().Set("Stream-State", "open")
			return
		}
		if posts++; posts == 1 {
			io.ReadFull(r.Body, make([]byte, 1))
			conn, _, _ := http.NewResponseController(w).Hijack()
			conn.Close()
			return
		}
		io.ReadFull(r.Body, make([]byte, 1))
		go func() { io.WriteString(silent, "b"); silent.Close() }() // ends when it is read
		body, _ := io.ReadAll(r.Body)
		got = r.URL.Query().Get("offset") + " a" + string(body)
		io.WriteString(w, "{}")
	})
	_, err := c.PublishStream(t.Context(), "c", "t", io.MultiReader(strings.NewReader("a"), reading))
	if err != nil || posts != 2 || got != " ab" {
		t.Errorf("%d requests, the last with %q, then %v", posts, got, err)
	}
}
