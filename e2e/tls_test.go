package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// certificate is a self-signed certificate in two files.
type certificate struct{ dir string }

func (c certificate) cert() string { return filepath.Join(c.dir, "cert.pem") }
func (c certificate) key() string  { return filepath.Join(c.dir, "key.pem") }

// issue makes a certificate and puts it in the place of the last one. Each file
// is replaced whole, as tools that renew certificates do.
func (c certificate) issue(t testing.TB, serial int64) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: "sluice"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	replace(t, c.key(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	replace(t, c.cert(), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return pool
}

// replace writes a file that is there whole or not at all.
func replace(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// TestTLS shows streams over HTTPS, with both versions of HTTP.
func TestTLS(t *testing.T) {
	t.Parallel()
	files := certificate{t.TempDir()}
	roots := &tls.Config{RootCAs: files.issue(t, 1)}
	s := start(t, "--tls-cert="+files.cert(), "--tls-key="+files.key())
	for _, tt := range []struct {
		name      string
		protocols func(*http.Protocols)
		major     int
	}{
		{"HTTP 1.1", func(p *http.Protocols) { p.SetHTTP1(true) }, 1},
		{"HTTP 2", func(p *http.Protocols) { p.SetHTTP2(true) }, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			expectStreams(t, s, clientFor(t, roots, tt.protocols), tt.major)
		})
	}
}

// TestHTTP2_priorKnowledge shows streams over HTTP/2 in the clear.
func TestHTTP2_priorKnowledge(t *testing.T) {
	t.Parallel()
	s := start(t)
	expectStreams(t, s, clientFor(t, nil, func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }), 2)

	curl := launch(t, nil, nil, "curl", "-sN", "--http2-prior-knowledge", "-w", "%{http_version}", "-m", "300",
		s.url+"/v1/subscribe?channel=b", "-H", "Authorization: Bearer "+s.key, "-D", "/dev/stderr")
	if _, err := curl.stdout.wait(within(t, patience), 0, `event: \$open\ndata: .*\n\n`); err != nil {
		t.Fatal(err)
	}
	id := s.publish(t, "b", "t", "1")
	if _, err := curl.stdout.wait(within(t, patience), 0, `id: `+id+`\nevent: t\ndata: .*\n\n`); err != nil {
		t.Fatal(err)
	}
	if _, err := curl.stderr.wait(within(t, patience), 0, `^HTTP/2 200`); err != nil {
		t.Fatal(err)
	}
}

// expectStreams opens more streams than a browser has connections over HTTP/1.1,
// publishes with the same client, and wants them all to hear of it.
func expectStreams(t *testing.T, s *server, c *http.Client, major int) {
	const streams = 12
	var open [streams]*stream
	for i := range open {
		open[i], _ = subscribe(t, c, s.url+"/v1/subscribe?channel=a", s.key, "")
		if open[i].ProtoMajor != major {
			t.Fatalf("the answer came over %s", open[i].Proto)
		}
	}
	var p published
	if status := call(t, c, s.key, http.MethodPost, s.url+"/v1/publish/a/t", "1", &p); status != http.StatusCreated {
		t.Fatalf("publish: %d", status)
	}
	for _, stream := range open {
		if e := stream.expect(t, "t"); e.ID != p.ID {
			t.Errorf("a stream got %s, want %s", e.ID, p.ID)
		}
	}
}

// TestTLS_renewed shows that a new certificate is served without a restart, and
// that streams that are open stay open.
func TestTLS_renewed(t *testing.T) {
	t.Parallel()
	files := certificate{t.TempDir()}
	old := &tls.Config{RootCAs: files.issue(t, 1)}
	s := start(t, "--tls-cert="+files.cert(), "--tls-key="+files.key())
	before := clientFor(t, old, func(p *http.Protocols) { p.SetHTTP1(true) })
	in, _ := subscribe(t, before, s.url+"/v1/subscribe?channel=a", s.key, "")

	renewed := &tls.Config{RootCAs: files.issue(t, 2)}
	eventually(t, func() bool { // it looks at its files every few seconds
		conn, err := tls.Dial("tcp", s.address(), renewed)
		if err != nil {
			return false
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64() == 2
	})
	after := clientFor(t, renewed, func(p *http.Protocols) { p.SetHTTP2(true) })
	if status := call(t, after, s.key, http.MethodPost, s.url+"/v1/publish/a/t", "1", nil); status != http.StatusCreated {
		t.Fatalf("publish: %d", status)
	}
	in.expect(t, "t")
}
