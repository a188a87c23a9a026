package e2e_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// issuer is an identity provider: it publishes a key and signs tokens with it,
// with nothing but the standard library.
type issuer struct {
	*httptest.Server
	private ed25519.PrivateKey
}

const issuerKid = "key-1"

func encode(p []byte) string { return base64.RawURLEncoding.EncodeToString(p) }

func startIssuer(t testing.TB) *issuer {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{private: private}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"keys": []any{
			map[string]string{"kty": "OKP", "crv": "Ed25519", "kid": issuerKid, "alg": "EdDSA", "use": "sig", "x": encode(public)},
		}})
	}))
	t.Cleanup(i.Close)
	return i
}

// sign returns a token (RFC 7519) with the given claims over the usual ones.
func (i *issuer) sign(t testing.TB, claims map[string]any) string {
	t.Helper()
	all := map[string]any{
		"iss": "https://login.example.com", "aud": "sluice-test", "sub": "user-7",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(),
	}
	maps.Copy(all, claims)
	part := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return encode(text)
	}
	input := part(map[string]string{"alg": "EdDSA", "kid": issuerKid, "typ": "JWT"}) + "." + part(all)
	return input + "." + encode(ed25519.Sign(i.private, []byte(input)))
}

// TestIssuer shows tokens of somebody else: accepted if he is in the file, for
// what they grant.
func TestIssuer(t *testing.T) {
	t.Parallel()
	known, unknown := startIssuer(t), startIssuer(t)
	file := filepath.Join(t.TempDir(), "issuers.yaml")
	replace(t, file, []byte(`issuers:
  - issuer: https://login.example.com
    audience: sluice-test
    algorithms: [EdDSA]
    jwks_url: `+known.URL+`/keys
`))
	keys, _ := generateKeys(t)
	s := production(t, keys, "--issuers="+file)
	grants := []any{map[string]any{"channel": "pipeline:*", "topics": []string{"status"}}}
	grant := map[string]any{"subscribe": grants}

	expectToken(t, s, known.sign(t, map[string]any{
		"subscribe": []any{map[string]any{"channel": runChannel, "topics": []string{"status"}}},
	}))

	const path = "/v1/subscribe?channel=" + runChannel
	in, _ := subscribe(t, newClient(t), s.url+path+"&topic=status", known.sign(t, grant), "")
	id := s.publish(t, runChannel, "status", "1")
	if e := in.expect(t, "status"); e.ID != id {
		t.Errorf("the stream got %+v, want %s", e, id)
	}
	with := func(name string, value any) map[string]any {
		claims := maps.Clone(grant)
		claims[name] = value
		return claims
	}
	for _, tt := range []struct {
		name  string
		token string
		want  int
	}{
		{"nothing granted", known.sign(t, nil), http.StatusForbidden},
		{"signed by somebody else", unknown.sign(t, grant), http.StatusUnauthorized},
		{"not in the file", known.sign(t, with("iss", "https://other.example.com")), http.StatusUnauthorized},
		{"for another service", known.sign(t, with("aud", "other")), http.StatusUnauthorized},
		{"expired", known.sign(t, with("exp", time.Now().Add(-time.Second).Unix())), http.StatusUnauthorized},
		{"posing as the server", known.sign(t, with("iss", "sluice")), http.StatusUnauthorized},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := call(t, newClient(t), tt.token, http.MethodGet, s.url+path, "", nil); got != tt.want {
				t.Errorf("%d, want %d", got, tt.want)
			}
		})
	}
}

// TestIssuer_proxy: keys of issuers elsewhere are fetched through the proxy that the
// environment names, those on this machine are not.
func TestIssuer_proxy(t *testing.T) {
	t.Parallel()
	elsewhere, here := startIssuer(t), startIssuer(t)
	secure := httptest.NewTLSServer(elsewhere.Config.Handler) // its certificate is for example.com
	t.Cleanup(secure.Close)
	var asked atomic.Value
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.Method + " " + r.Host + " " + r.Header.Get("Proxy-Authorization"))
		tunnel(t, w, secure.Listener.Addr().String())
	}))
	t.Cleanup(proxy.Close)
	authorities := filepath.Join(t.TempDir(), "ca.pem")
	replace(t, authorities, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}))
	file := filepath.Join(t.TempDir(), "issuers.yaml")
	replace(t, file, []byte(`issuers:
  - {issuer: "https://login.example.com", audience: sluice-test, algorithms: [EdDSA], jwks_url: "https://example.com/keys"}
  - {issuer: "https://here.example.com", audience: sluice-test, algorithms: [EdDSA], jwks_url: "`+here.URL+`/keys"}
`))
	keys, _ := generateKeys(t)
	address := strings.Replace(proxy.URL, "//", "//user:pa55@", 1)
	s := serve(t, []string{"HTTPS_PROXY=" + address, "HTTP_PROXY=" + address, "SSL_CERT_FILE=" + authorities, "SLUICE_API_KEYS=" + testKey},
		"sluice", "--signing-keys="+keys, "--issuers="+file)
	grants := map[string]any{"subscribe": []any{map[string]any{"channel": runChannel, "topics": []string{"status"}}}}
	expectToken(t, s, elsewhere.sign(t, grants))
	if got, want := asked.Load(), "CONNECT example.com:443 Basic dXNlcjpwYTU1"; got != want {
		t.Errorf("the proxy was asked %q, want %q", got, want)
	}
	grants["iss"] = "https://here.example.com"
	expectToken(t, s, here.sign(t, grants))

	if strings.Contains(s.stderr.String(), "pa55") {
		t.Error("the log has the password of the proxy")
	}
}

// tunnel joins a client of a proxy with the server at an address, until either of them
// ends.
func tunnel(t testing.TB, w http.ResponseWriter, address string) {
	server, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	defer server.Close()
	client, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	defer client.Close()
	io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
	go io.Copy(server, client) // ends with the connections
	io.Copy(client, server)
}
