package e2e_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// TestStalledReader_http2 has clients that open a stream over HTTP/2 and never
// read from their connections. One lets the server send as much as it likes, so
// that the system's buffers fill up; the other stays at the windows that a
// connection begins with, so that the server may not send.
func TestStalledReader_http2(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		window uint32
		cut    bool // the whole connection, not its stream alone
	}{
		{"its connection is full", 1<<31 - 1, true},
		{"its window is full", 1<<16 - 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, "--write-timeout=1s")
			healthy, _ := s.subscribe(t, "channel=a", "")
			descriptors := s.descriptors(t)
			const stalled = 4
			for range stalled {
				conn := dial(t, s.address())
				if err := conn.SetReadBuffer(64 << 10); err != nil {
					t.Fatal(err)
				}
				if _, err := conn.Write(s.openHTTP2("channel=a", tt.window)); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, func() bool { return s.metric(t, "sluice_streams") == 1+stalled })
			publisher, lines := upload(t, s.key, s.url+"/v1/publish", ndjson("-T", ".")...)
			data := `"` + strings.Repeat("x", 50<<10) + `"`
			for range 400 { // 20 MB
				fmt.Fprint(lines, item("a", "t", data))
				healthy.expect(t, "t")
			}
			lines.Close()
			publisher.succeeds(t)
			eventually(t, func() bool { return s.metric(t, "sluice_streams") == 1 })
			eventually(t, func() bool { return s.metric(t, slowConsumers) == stalled })
			if tt.cut {
				eventually(t, func() bool { return s.descriptors(t) <= descriptors })
			}
		})
	}
}

// Frames and settings of HTTP/2 (RFC 9113, sections 6.2, 6.5 and 6.9).
const (
	frameHeaders      = 1
	frameSettings     = 4
	frameWindowUpdate = 8

	settingInitialWindow = 4

	endStream, endHeaders = 1, 4
)

// openHTTP2 returns what a client sends over HTTP/2 with prior knowledge to open
// a stream, with windows of the given size.
func (s *server) openHTTP2(query string, window uint32) []byte {
	all := []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	all = appendFrame(all, frameSettings, 0, 0, binary.BigEndian.AppendUint32([]byte{0, settingInitialWindow}, window))
	if more := window - (1<<16 - 1); more > 0 {
		all = appendFrame(all, frameWindowUpdate, 0, 0, binary.BigEndian.AppendUint32(nil, more))
	}
	var fields []byte
	for _, f := range [][2]string{
		{":method", "GET"},
		{":scheme", "http"},
		{":authority", s.address()},
		{":path", "/v1/subscribe?" + query},
		{"authorization", "Bearer " + s.key},
	} {
		fields = append(fields, 0) // a literal without indexing, its name too: RFC 7541, section 6.2.2
		for _, text := range f {
			fields = append(fields, byte(len(text))) // below 127, and not in Huffman's code
			fields = append(fields, text...)
		}
	}
	return appendFrame(all, frameHeaders, endStream|endHeaders, 1, fields)
}

func appendFrame(all []byte, kind, flags byte, stream uint32, payload []byte) []byte {
	n := len(payload)
	all = append(all, byte(n>>16), byte(n>>8), byte(n), kind, flags)
	return append(binary.BigEndian.AppendUint32(all, stream), payload...)
}
