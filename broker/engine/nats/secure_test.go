//go:build unix

package nats_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/sluicehq/sluice/broker/engine/nats"
	"github.com/sluicehq/sluice/internal/natstest"
)

func TestOpen_credentials(t *testing.T) {
	userSeed, userKey := newKey(t, nkeys.CreateUser)
	operator, creds := operatorMode(t)
	for _, c := range []struct {
		name, server    string
		login, badLogin string // in the URL
		opts, bad       nats.Options
	}{
		{
			"user and password",
			`accounts { A { jetstream: enabled, users: [{user: "u", password: "p"}] }, SYS {} }, system_account: SYS`,
			"u:p", "u:q",
			nats.Options{},
			nats.Options{},
		},
		{"token", `authorization { token: "t" }`, "t", "q", nats.Options{}, nats.Options{}},
		{
			"nkey",
			fmt.Sprintf(`authorization { users: [{nkey: %s}] }`, userKey),
			"", "",
			nats.Options{NKeyFile: file(t, "seed", userSeed)},
			nats.Options{},
		},
		{"creds", operator, "", "u", nats.Options{CredsFile: file(t, "creds", creds)}, nats.Options{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := natstest.Start(t, c.server)
			c.opts.URLs, c.bad.URLs = []string{withLogin(server.URL(), c.login)}, []string{withLogin(server.URL(), c.badLogin)}
			n := start(t, c.opts)
			n.put(t, entry("c", "1"))
			if e, err := nats.Open(t.Context(), c.bad); err == nil {
				t.Error("wrong credentials are taken", e.Close())
			}
		})
	}
}

// The permissions that the documentation names suffice. An account that may not hear of elections,
// as none had to once, serves all the same.
func TestOpen_permissions(t *testing.T) {
	for name, extra := range map[string]string{"documented": `, "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.>"`, "no elections": ""} {
		t.Run(name, func(t *testing.T) {
			server := natstest.Start(t, `authorization { users: [{user: "u", password: "p", permissions: {
				publish: ["sluice.>", "$JS.API.>"], subscribe: ["sluice.>", "_INBOX.>"`+extra+`]}}] }`)
			n := start(t, nats.Options{URLs: []string{withLogin(server.URL(), "u:p")}})
			n.follow(t, "c", "*")
			n.put(t, entry("c", "1"))
			n.delivered(t, "c", "1")
			refused := func() bool { return strings.Contains(server.Log(), "Violation") }
			if extra == "" {
				eventually(t, "a refusal in the server's log", refused)
			} else if refused() {
				t.Errorf("something was refused: %s", server.Log())
			}
		})
	}
}

func TestOpen_tls(t *testing.T) {
	ca, cert, key := certificates(t)
	server := natstest.Start(t, fmt.Sprintf("tls { cert_file: %q, key_file: %q, ca_file: %q, verify: true, timeout: 60 }", cert, key, ca))
	good := nats.Options{URLs: []string{server.URL()}, CAFile: ca, CertFile: cert, KeyFile: key}.WithDialWait(patience) // a handshake is work
	start(t, good).put(t, entry("c", "1"))
	for name, opts := range map[string]nats.Options{
		"no certificate":   {CAFile: ca},
		"unknown server":   {CertFile: cert, KeyFile: key},
		"no such file":     {CAFile: ca + "x"},
		"not an authority": {CAFile: key},
	} {
		opts.URLs = good.URLs
		if e, err := nats.Open(t.Context(), opts); err == nil {
			t.Error(name, "is taken", e.Close())
		}
	}
}

func TestOpen_faults(t *testing.T) {
	for name, opts := range map[string]nats.Options{
		"name":              {Name: "a.b"},
		"replicas":          {Replicas: 6},
		"two credentials":   {CredsFile: "c", NKeyFile: "n"},
		"half certificate":  {CertFile: "x"},
		"short memory":      {RememberFor: time.Millisecond},
		"nobody listens":    {URLs: []string{"nats://127.0.0.1:1"}},
		"no such creds":     {CredsFile: "/nowhere"},
		"too many replicas": {URLs: []string{natstest.Start(t, "").URL()}, Replicas: 3},
	} {
		if e, err := nats.Open(t.Context(), opts); err == nil {
			t.Error(name, "is taken", e.Close())
		}
	}
}

// withLogin puts a user and password, or a token, into the URL of a server.
func withLogin(server, login string) string {
	if login == "" {
		return server
	}
	return strings.Replace(server, "://", "://"+login+"@", 1)
}

func file(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func newKey(t testing.TB, create func() (nkeys.KeyPair, error)) (seed, public string) {
	t.Helper()
	pair, err := create()
	if err != nil {
		t.Fatal(err)
	}
	secret, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	if public, err = pair.PublicKey(); err != nil {
		t.Fatal(err)
	}
	return string(secret), public
}

// operatorMode returns the configuration of a server whose accounts are signed, and a
// user's credentials.
func operatorMode(t testing.TB) (config, creds string) {
	t.Helper()
	operatorSeed, operator := newKey(t, nkeys.CreateOperator)
	accountSeed, account := newKey(t, nkeys.CreateAccount)
	_, system := newKey(t, nkeys.CreateAccount)
	userSeed, user := newKey(t, nkeys.CreateUser)
	limits := map[string]any{
		"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
	}
	withJetStream := map[string]any{"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}
	for k, v := range limits {
		withJetStream[k] = v
	}
	config = fmt.Sprintf("operator: %s\nsystem_account: %s\nresolver: MEMORY\nresolver_preload { %s: %s, %s: %s }",
		signed(t, operatorSeed, operator, operator, map[string]any{"type": "operator", "version": 2, "system_account": system}), system,
		account, signed(t, operatorSeed, operator, account, map[string]any{"type": "account", "version": 2, "limits": withJetStream}),
		system, signed(t, operatorSeed, operator, system, map[string]any{"type": "account", "version": 2, "limits": limits}),
	)
	claims := signed(t, accountSeed, account, user, map[string]any{"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1})
	creds = fmt.Sprintf("-----BEGIN NATS USER JWT-----\n%s\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n%s\n------END USER NKEY SEED------\n", claims, userSeed)
	return config, creds
}

// signed returns a token as NATS signs them.
func signed(t testing.TB, seed, issuer, subject string, claims map[string]any) string {
	t.Helper()
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	text := part(map[string]string{"typ": "JWT", "alg": "ed25519-nkey"}) + "." +
		part(map[string]any{"iss": issuer, "sub": subject, "iat": time.Now().Unix(), "name": "test", "nats": claims})
	pair, err := nkeys.FromSeed([]byte(seed))
	if err != nil {
		t.Fatal(err)
	}
	signature, err := pair.Sign([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// certificates returns files of an authority, and of a certificate for both ends.
func certificates(t testing.TB) (ca, cert, key string) {
	t.Helper()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &secret.PublicKey, secret)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, b []byte) string {
		var text strings.Builder
		_ = pem.Encode(&text, &pem.Block{Type: kind, Bytes: b})
		return text.String()
	}
	cert = file(t, "cert.pem", encode("CERTIFICATE", der))
	return cert, cert, file(t, "key.pem", encode("PRIVATE KEY", pkcs8))
}
