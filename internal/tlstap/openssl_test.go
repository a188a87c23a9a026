package tlstap_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/tlsrecord"
	"github.com/sluicehq/sluice/internal/tlstap"
)

// TestConn_Detach_openssl has a client of another make, which can be told its cipher
// suite: crypto/tls cannot.
func TestConn_Detach_openssl(t *testing.T) {
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("there is no openssl")
	}
	for _, suite := range tlsrecord.Suites() {
		name := tls.CipherSuiteName(suite)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSetup(t)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			client := exec.CommandContext(t.Context(), path, "s_client", "-connect", l.Addr().String(), "-quiet", "-no_ign_eof", "-ciphersuites", name, "-tls1_3")
			var out bytes.Buffer
			client.Stdout = &out
			in, err := client.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := client.Start(); err != nil {
				t.Fatal(err)
			}
			conn, err := tlstap.Listener(l).Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			r := &rig{server: tls.Server(conn, tlstap.Config(s.server)), tap: tlstap.Of(conn)}
			if err := r.server.SetDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(in, "request"); err != nil {
				t.Fatal(err)
			}
			r.read(t, r.server, "request")
			if got := r.server.ConnectionState().CipherSuite; got != suite {
				t.Fatalf("the suite is %s", tls.CipherSuiteName(got))
			}
			want := head + sendSealed(t, r)
			if err := client.Wait(); err != nil || out.String() != want {
				t.Errorf("openssl reads %d bytes, want %d, %v", out.Len(), len(want), err)
			}
		})
	}
}

// sendSealed takes the connection over, and sends records of many lengths and the end.
func sendSealed(t *testing.T, r *rig) (text string) {
	t.Helper()
	s, err := r.hold(t)
	if err != nil {
		t.Fatal(err)
	}
	out, err := r.tap.Detach(r.server)
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= tlsrecord.MaxPlaintext; n *= 2 {
		more := strings.Repeat("x", n)
		text += more
		if out, err = s.Seal(out, tlsrecord.ApplicationData, []byte(more)); err != nil {
			t.Fatal(err)
		}
	}
	if out, err = s.CloseNotify(out); err != nil {
		t.Fatal(err)
	}
	if _, err := r.tap.NetConn().Write(out); err != nil {
		t.Fatal(err)
	}
	return text
}
