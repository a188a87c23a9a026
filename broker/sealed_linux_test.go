package broker_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/internal/tlsrecord"
)

// TestTakeOver_input: nobody can open what a client sends on a line on which everything is
// sealed. A goodbye ends its stream at once, and anything else makes the server say goodbye.
func TestTakeOver_input(t *testing.T) {
	// What a client seals, under keys that the loop does not have.
	seal := func(kind tlsrecord.Content, p string) string {
		s := must(tlsrecord.NewSealer(tls.TLS_AES_128_GCM_SHA256, make([]byte, 32), 0))
		return string(must(s.Seal(nil, kind, []byte(p))))
	}
	for _, tt := range []struct {
		name, sent, list string
		left             bool // it counts as a client that has left
	}{
		{"a goodbye", seal(tlsrecord.Alert, "\x01\x00"), "a", true},
		{"a fatal alert, of two channels", seal(tlsrecord.Alert, "\x02\x14"), "a b", true},
		{"a key update", seal(tlsrecord.Handshake, "\x18\x00\x00\x01\x01"), "a", false},
		{"the next request", seal(tlsrecord.ApplicationData, "GET / HTTP/1.1\r\n\r\n"), "a", false},
		{"the next request, of two channels", seal(tlsrecord.ApplicationData, "GET / HTTP/1.1\r\n\r\n"), "a b", false},
		{"no record", "GET / HTTP/1.1\r\n\r\n", "a", false},
		{"a byte", "\x00", "a", false},
		{"very much", strings.Repeat("x", 4<<20), "a", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := start(t, broker.Options{Heartbeat: time.Hour})
			publish(t, b, "a", "status", "1")
			other, _, _ := take(t, b, asking("a"), line(tls.TLS_AES_128_GCM_SHA256), false)
			other.until(t, "$open")
			w, s, ended := take(t, b, asking(strings.Fields(tt.list)...), line(tls.TLS_AES_128_GCM_SHA256), false)
			w.until(t, "$open")
			go func() { _, _ = io.WriteString(w.tcp, tt.sent) }() // ends with the connection
			f := await(t, "its end", ended)
			reason, isEnding := s.Ended()
			if tt.left && (isEnding || f.err == nil || errors.Is(f.err, io.EOF)) || !tt.left && (reason.Code != 4004 || !errors.Is(f.err, io.EOF)) {
				t.Errorf("it ended with %+v, and %+v", f, reason)
			}
			if !tt.left {
				w.until(t, `"code":4004,"reason":"max_age","reconnect":true`)
			}
			publish(t, b, "a", "status", "1")
			other.until(t, "event: status")
		})
	}
}

// TestTakeOver_input_bare: on other lines, what a client sends is of no interest.
func TestTakeOver_input_bare(t *testing.T) {
	b := start(t, broker.Options{})
	w, _, _ := take(t, b, asking("a"), bare, false)
	w.until(t, "$open")
	if _, err := io.WriteString(w.tcp, "GET / HTTP/1.1\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	publish(t, b, "a", "status", "1")
	w.until(t, "event: status")
}

// TestTakeOver_halfClosed: a client that ends what it sends is told that nothing follows.
func TestTakeOver_halfClosed(t *testing.T) {
	b := start(t, broker.Options{Heartbeat: time.Hour})
	w, _, ended := take(t, b, asking("a"), line(tls.TLS_AES_128_GCM_SHA256), false)
	w.until(t, "$open")
	if err := w.tcp.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	await(t, "its end", ended)
	if rest, err := io.ReadAll(w.conn); err != nil {
		t.Errorf("it reads %q, %v", rest, err)
	}
}

// TestTakeOver_spent: before too many records are sealed under one secret, the client is told to
// come back.
func TestTakeOver_spent(t *testing.T) {
	for _, list := range []string{"a", "a b"} {
		b := start(t, broker.Options{Heartbeat: time.Hour, Pace: -1})
		s := must(b.Subscribe(t.Context(), asking(strings.Fields(list)...)))
		server, client := pair()
		defer client.Close()
		ended := make(chan error, 1)
		over := broker.Takeover{Conn: server, Done: func(_ *broker.Stream, _ int64, err error) { ended <- err }}
		const left = 1000
		conn := line(tls.TLS_AES_128_GCM_SHA256).after(tlsrecord.MaxRecords-left, &over, client)
		if err := b.TakeOver(s, over); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(patient))
		got := readUntil(t, conn, "$live")
		for n := 0; !bytes.Contains(got, []byte("$close")); n++ {
			if n > left {
				t.Fatal("it goes on")
			}
			publish(t, b, "a", "status", "1")
			got = append(got, readUntil(t, conn, "\n\n")...)
		}
		if rest, err := io.ReadAll(conn); err != nil || len(rest) > 0 {
			t.Errorf("then comes %q, %v", rest, err)
		}
		if err := await(t, "its end", ended); !errors.Is(err, io.EOF) {
			t.Errorf("it ended with %v", err)
		}
		events, _, err := read(ring.SSE, got)
		if last := events[len(events)-1]; err != nil || last.name != "$close" || !strings.Contains(last.data, `"code":4004`) {
			t.Errorf("it ends with %+v, %v", last, err)
		}
		if n := bytes.Count(got, []byte("event: status")); n < left-100 {
			t.Errorf("it ended after %d messages", n)
		}
	}
}

// TestTakeOver_cutAnywhere: however a record is cut by a socket that fills up, what follows
// begins where it ended. The messages are as long as a record, and longer, and the client
// reads as little at a time as makes the server go on.
func TestTakeOver_cutAnywhere(t *testing.T) {
	onBothLines(t, func(t *testing.T, l line) {
		b := start(t, broker.Options{Heartbeat: time.Hour, Pace: -1, WriteTimeout: time.Minute, MaxEventBytes: 1 << 20})
		w, _, _ := take(t, b, asking("a"), l, true)
		w.until(t, "$open")
		const each = 12
		published := make(chan struct{})
		go func() { // ends by itself
			defer close(published)
			for i := range each {
				publish(t, b, "a", "status", `"`+strings.Repeat("x", 1+i*4000)+`"`)
			}
		}()
		lengths := 0
		for seen := 0; seen < each; {
			raw, err := w.next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range raw {
				seen += bytes.Count(e, []byte("event: status"))
				lengths += bytes.Count(e, []byte("x"))
			}
		}
		if want := each + 4000*each*(each-1)/2; lengths != want {
			t.Errorf("got %d bytes, want %d", lengths, want)
		}
		<-published
	})
}
