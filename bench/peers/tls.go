package peers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// tlsSuffix is what the name of a peer over TLS ends with.
const tlsSuffix = "-tls"

// overTLS returns a peer that speaks TLS, with a certificate of its own.
func overTLS(p Peer) Peer {
	plain := p.Command
	p.Secure, p.HTTP2 = true, p.Name == "sluice" || p.Name == "nethttp"
	p.Name += tlsSuffix
	p.Command = func(addr, dir string, o Options) (cmd *exec.Cmd, err error) {
		if o.certificate, err = issue(dir); err != nil {
			return nil, err
		}
		return plain(addr, dir, o)
	}
	return p
}

// certificate names the files of a certificate and its key; "" for none.
type certificate struct{ cert, key string }

// issue makes a certificate in dir.
func issue(dir string) (certificate, error) {
	c := certificate{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return c, fmt.Errorf("peers: %w", err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return c, fmt.Errorf("peers: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return c, fmt.Errorf("peers: %w", err)
	}
	for path, block := range map[string]*pem.Block{c.cert: {Type: "CERTIFICATE", Bytes: der}, c.key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			return c, fmt.Errorf("peers: %w", err)
		}
	}
	return c, nil
}

// given returns the certificate that a peer inside this program is given.
func given() certificate {
	return certificate{os.Getenv("BENCH_TLS_CERT"), os.Getenv("BENCH_TLS_KEY")}
}

// portable returns Sluice as it is on systems without writer loops.
func portable(p Peer) Peer {
	loops := p.Command
	p.Name += "-portable"
	p.Command = func(addr, dir string, o Options) (*exec.Cmd, error) {
		cmd, err := loops(addr, dir, o)
		if err == nil {
			cmd.Args = append(cmd.Args, "--portable")
		}
		return cmd, err
	}
	return p
}
