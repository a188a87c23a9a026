package tlsrecord_test

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/internal/tlsrecord"
)

// secretOf returns a random traffic secret for a suite.
func secretOf(suite uint16) []byte {
	secret := make([]byte, 32)
	if suite == tls.TLS_AES_256_GCM_SHA384 {
		secret = make([]byte, 48)
	}
	rand.Read(secret)
	return secret
}

// both returns the two ends of a direction.
func both(t testing.TB, suite uint16, before uint64) (*tlsrecord.Sealer, *tlsrecord.Opener) {
	t.Helper()
	secret := secretOf(suite)
	s, err := tlsrecord.NewSealer(suite, secret, before)
	if err != nil {
		t.Fatal(err)
	}
	o, err := tlsrecord.NewOpener(suite, secret, before)
	if err != nil {
		t.Fatal(err)
	}
	return s, o
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestSealer_example has the records that the server sends in RFC 8448, section 3, after
// its session ticket.
func TestSealer_example(t *testing.T) {
	secret := unhex(t, `a1 1a f9 f0 55 31 f8 56 ad 47 11 6b 45 a9 50 32 82 04 b4 f4 4b fb 6b 3a 4b 4f 1f 3f cb 63 16 43`)
	data := unhex(t, `17 03 03 00 43 2e 93 7e 11 ef 4a c7 40 e5 38 ad 36 00 5f c4 a4 69 32 fc 32 25 d0 5f 82 aa 1b 36 e3 0e fa
		f9 7d 90 e6 df fc 60 2d cb 50 1a 59 a8 fc c4 9c 4b f2 e5 f0 a2 1c 00 47 c2 ab f3 32 54 0d d0 32 e1 67 c2 95 5d`)
	end := unhex(t, `17 03 03 00 13 b5 8f d6 71 66 eb f5 99 d2 47 20 cf be 7e fa 7a 88 64 a9`)
	plain := make([]byte, 50)
	for i := range plain {
		plain[i] = byte(i)
	}
	s, err := tlsrecord.NewSealer(tls.TLS_AES_128_GCM_SHA256, secret, 1)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Seal(nil, tlsrecord.ApplicationData, plain); err != nil || !bytes.Equal(got, data) {
		t.Errorf("got %x, %v, want %x", got, err, data)
	}
	if got, err := s.CloseNotify(nil); err != nil || !bytes.Equal(got, end) {
		t.Errorf("the end is %x, %v, want %x", got, err, end)
	}
	if !tlsrecord.LooksLikeAlert(end) || tlsrecord.LooksLikeAlert(data) || tlsrecord.LooksLikeAlert(end[:4]) {
		t.Error("an alert is not told from data")
	}
}

func TestSealer_lengths(t *testing.T) {
	for _, suite := range tlsrecord.Suites() {
		t.Run(tls.CipherSuiteName(suite), func(t *testing.T) {
			s, o := both(t, suite, 0)
			wire := []byte("what was there")
			before := len(wire)
			var want [][]byte
			for _, n := range []int{1, 2, 50, 255, 256, 4096, tlsrecord.MaxPlaintext - 1, tlsrecord.MaxPlaintext} {
				p := make([]byte, n)
				rand.Read(p)
				p[n-1] = 0 // no padding
				want = append(want, p)
				at := len(wire)
				var err error
				if wire, err = s.Seal(wire, tlsrecord.ApplicationData, p); err != nil {
					t.Fatal(err)
				}
				if got := len(wire) - at; got != n+tlsrecord.Overhead {
					t.Errorf("%d bytes make a record of %d", n, got)
				}
			}
			rest := wire[before:]
			for _, p := range want {
				if _, c, _, err := o.Open(rest[:len(p)+tlsrecord.Overhead-1]); c != 0 || err != nil {
					t.Fatalf("an incomplete record of %d bytes opens as %d, %v", len(p), c, err)
				}
				got, c, more, err := o.Open(rest)
				if err != nil || c != tlsrecord.ApplicationData || !bytes.Equal(got, p) {
					t.Fatalf("%d bytes come out as %d of kind %d, %v", len(p), len(got), c, err)
				}
				rest = more
			}
			if len(rest) > 0 {
				t.Errorf("%d bytes are left", len(rest))
			}
			if _, err := s.Seal(nil, tlsrecord.ApplicationData, make([]byte, tlsrecord.MaxPlaintext+1)); !errors.Is(err, tlsrecord.ErrTooLong) {
				t.Errorf("too many bytes: %v", err)
			}
		})
	}
}

// TestOpener_refuses: a record opens in its turn and unchanged, and not otherwise.
func TestOpener_refuses(t *testing.T) {
	s, o := both(t, tls.TLS_AES_128_GCM_SHA256, 7)
	first, _ := s.Seal(nil, tlsrecord.ApplicationData, []byte("first"))
	second, _ := s.Seal(nil, tlsrecord.ApplicationData, []byte("second"))
	if _, _, _, err := o.Open(second); !errors.Is(err, tlsrecord.ErrRecord) {
		t.Errorf("the second before the first: %v", err)
	}
	for i := range first {
		bad := bytes.Clone(first)
		bad[i] ^= 1
		if _, c, _, err := o.Open(bad); err == nil && c != 0 {
			t.Errorf("it opens with byte %d changed", i)
		}
	}
	for i, want := range []string{"first", "second"} {
		if p, _, _, err := o.Open([][]byte{first, second}[i]); err != nil || string(p) != want {
			t.Errorf("got %q, %v", p, err)
		}
	}
	if _, _, _, err := o.Open(first); !errors.Is(err, tlsrecord.ErrRecord) {
		t.Errorf("the first again: %v", err)
	}
}

func TestNewSealer_unknown(t *testing.T) {
	for _, tt := range []struct {
		suite  uint16
		secret []byte
	}{
		{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, make([]byte, 32)},
		{tls.TLS_AES_128_GCM_SHA256, make([]byte, 48)},
		{tls.TLS_AES_256_GCM_SHA384, make([]byte, 32)},
		{tls.TLS_CHACHA20_POLY1305_SHA256, nil},
	} {
		if s, err := tlsrecord.NewSealer(tt.suite, tt.secret, 0); !errors.Is(err, tlsrecord.ErrSuite) || s != nil {
			t.Errorf("%s with %d bytes: %v", tls.CipherSuiteName(tt.suite), len(tt.secret), err)
		}
	}
}

// TestSealer_spent: the limit is never exceeded, and it is announced while there is still
// something left to say goodbye with.
func TestSealer_spent(t *testing.T) {
	s, _ := both(t, tls.TLS_AES_128_GCM_SHA256, tlsrecord.MaxRecords-100)
	left := 0
	for n := 0; ; n++ {
		if s.Spent() {
			left++
		}
		before := []byte("as it was")
		got, err := s.Seal(before, tlsrecord.ApplicationData, []byte("x"))
		if err != nil {
			if !errors.Is(err, tlsrecord.ErrSpent) || !bytes.Equal(got, before) || n != 100 {
				t.Fatalf("%d records, then %q, %v", n, got, err)
			}
			break
		}
	}
	if left < 10 || left > 90 {
		t.Errorf("%d records were left at the warning", left-1)
	}
	if _, err := s.CloseNotify(nil); !errors.Is(err, tlsrecord.ErrSpent) {
		t.Errorf("and one more: %v", err)
	}
}

// TestSealer_many has a million records under one secret, ten million with SLUICE_SOAK.
func TestSealer_many(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	n := 1_000_000
	if os.Getenv("SLUICE_SOAK") != "" {
		n = 10_000_000
	}
	s, o := both(t, tls.TLS_AES_128_GCM_SHA256, 0)
	var wire []byte
	for i := range n {
		var err error
		if wire, err = s.Seal(wire[:0], tlsrecord.ApplicationData, []byte{byte(i), byte(i >> 8), byte(i >> 16), 1}); err != nil {
			t.Fatal(err)
		}
		p, _, rest, err := o.Open(wire)
		if err != nil || len(rest) > 0 || p[0] != byte(i) || p[1] != byte(i>>8) || p[2] != byte(i>>16) {
			t.Fatalf("record %d: %x, %v", i, p, err)
		}
	}
}

func FuzzOpener(f *testing.F) {
	secret := make([]byte, 32)
	s, err := tlsrecord.NewSealer(tls.TLS_AES_128_GCM_SHA256, secret, 0)
	if err != nil {
		f.Fatal(err)
	}
	record, _ := s.Seal(nil, tlsrecord.ApplicationData, []byte("some"))
	f.Add(record)
	f.Add(record[:7])
	f.Add([]byte{23, 3, 3, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := tlsrecord.NewOpener(tls.TLS_AES_128_GCM_SHA256, secret, 0)
		if err != nil {
			t.Fatal(err)
		}
		_ = tlsrecord.LooksLikeAlert(b)
		if p, c, rest, err := o.Open(b); err == nil && c != 0 && (string(p) != "some" || len(rest) != len(b)-len(record)) {
			t.Errorf("%x opens as %q", b, p)
		}
	})
}

// BenchmarkSealer_Seal seals what one small message takes.
func BenchmarkSealer_Seal(b *testing.B) {
	for _, suite := range tlsrecord.Suites() {
		b.Run(tls.CipherSuiteName(suite), func(b *testing.B) {
			secret, p := secretOf(suite), make([]byte, 225)
			var wire []byte
			b.ReportAllocs()
			var s *tlsrecord.Sealer
			for i := range b.N {
				if i%tlsrecord.MaxRecords == 0 {
					s, _ = tlsrecord.NewSealer(suite, secret, 0)
				}
				wire, _ = s.Seal(wire[:0], tlsrecord.ApplicationData, p)
			}
		})
	}
}
