package handlers_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"time"

	"github.com/sluicehq/sluice/handlers"
	"github.com/sluicehq/sluice/internal/tlstap"
)

// secured returns what makes a server and its clients speak TLS.
func secured(o *setup) (*tls.Config, func(context.Context, net.Conn) context.Context, func(context.Context) (net.Conn, error)) {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	config := tlstap.Config(&tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, NextProtos: []string{"h2", "http/1.1"},
	})
	tapped := func(ctx context.Context, conn net.Conn) context.Context {
		return handlers.WithTap(ctx, tlstap.Of(conn))
	}
	client := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}
	if o.h2 {
		client.NextProtos = []string{"h2"}
	}
	inner := o.dial
	dial := func(ctx context.Context) (net.Conn, error) {
		conn, err := inner(ctx)
		if err != nil {
			return nil, err
		}
		over := tls.Client(conn, client)
		if err := over.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, err
		}
		return over, nil
	}
	return config, tapped, dial
}

// below returns the TCP connection that conn is, or is over.
func below(conn net.Conn) *net.TCPConn {
	if over, ok := conn.(*tls.Conn); ok {
		conn = over.NetConn()
	}
	return conn.(*net.TCPConn)
}
