//go:build linux

package broker

import (
	"bytes"
	"crypto/tls"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluicehq/sluice/internal/tlsrecord"
)

// sealed gives the loop a stream on whose line everything is sealed, and returns the
// client's end, too.
func (r *rig) sealed(sub Subscription) (*socket, int, *tlsrecord.Opener) {
	r.t.Helper()
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = unix.Close(ends[1]) })
	secret := make([]byte, 32)
	sealer, err := tlsrecord.NewSealer(tls.TLS_AES_128_GCM_SHA256, secret, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	opener, err := tlsrecord.NewOpener(tls.TLS_AES_128_GCM_SHA256, secret, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	so := r.carry(sub, ends[0])
	so.sealer = sealer
	return so, ends[1], opener
}

// TestLoop_writeSealed_many: a million records on one stream, ten million with SLUICE_SOAK,
// open one after another.
func TestLoop_writeSealed_many(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	n := 1_000_000
	if os.Getenv("SLUICE_SOAK") != "" {
		n = 10_000_000
	}
	r := newRig(t, Options{Pace: -1, Heartbeat: time.Hour})
	so, client, opener := r.sealed(named("a"))
	r.settleAll()
	buffer := make([]byte, 64<<10)
	for records := 0; records < n; {
		m, err := unix.Read(client, buffer)
		if err != nil {
			t.Fatalf("after %d records: %v", records, err)
		}
		for rest := buffer[:m]; len(rest) > 0; records++ {
			var p []byte
			var kind tlsrecord.Content
			if p, kind, rest, err = opener.Open(rest); err != nil || kind != tlsrecord.ApplicationData || !bytes.HasSuffix(p, []byte("\r\n")) {
				t.Fatalf("record %d: %q, %d, %v", records, p, kind, err)
			}
		}
		if l := so.sealer; l == nil || so.state != open {
			t.Fatal("it has ended")
		}
		r.shard.broker.say(t, "a")
		r.settleAll()
	}
	if so.group == nil {
		t.Error("it is in no group: this was no sweep")
	}
}

// TestLoop_writeSealed_kept: a record that was cut off is finished with the bytes that
// were sealed, and nothing else is sealed before it is.
func TestLoop_writeSealed_kept(t *testing.T) {
	r := newRig(t, Options{Heartbeat: time.Hour})
	so, client, opener := r.sealed(named("a"))
	r.settleAll()
	drain(t, client)
	want := make([]byte, 1<<20)
	n, all := r.writeSealed(so, want)
	if all || n == 0 || n == len(want) || n%tlsrecord.MaxPlaintext != 0 || len(so.stall.sealed) == 0 || len(so.stall.sealed) > tlsrecord.MaxPlaintext+tlsrecord.Overhead {
		t.Fatalf("%d bytes are in records, all: %t, %d kept", n, all, len(so.stall.sealed))
	}
	r.block(so, want[n:])
	kept := bytes.Clone(so.stall.sealed)
	if so.state = open; r.flush(so) {
		t.Fatal("a full socket takes more")
	}
	if !bytes.Equal(so.stall.sealed, kept) || len(so.stall.unsent) != len(want)-n {
		t.Errorf("%d bytes of a record are kept, %d before; %d not sealed", len(so.stall.sealed), len(kept), len(so.stall.unsent))
	}
	var raw []byte
	for done := false; !done; {
		raw = append(raw, drain(t, client)...)
		so.state = open
		done = r.flush(so)
	}
	raw = append(raw, drain(t, client)...)
	opener.Skip() // the record with $open
	got := 0
	for len(raw) > 0 {
		p, kind, rest, err := opener.Open(raw)
		if err != nil || kind != tlsrecord.ApplicationData {
			t.Fatalf("after %d bytes: %d, %v", got, kind, err)
		}
		got += len(p)
		raw = rest
	}
	if got != len(want) {
		t.Errorf("%d bytes, want %d", got, len(want))
	}
}

// drain returns what there is to read.
func drain(t *testing.T, fd int) (all []byte) {
	t.Helper()
	for buffer := make([]byte, 64<<10); ; {
		n, err := unix.Read(fd, buffer)
		if n <= 0 || err != nil {
			return all
		}
		all = append(all, buffer[:n]...)
	}
}
