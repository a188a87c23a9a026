package tlstap

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"net"
	"slices"
)

// Config returns a config like base for connections that come from a [Listener]. base
// must name its protocols. Session tickets go on as crypto/tls manages them: their keys
// are those of the config that is returned, whichever config a connection has.
func Config(base *tls.Config) *tls.Config {
	outer, tapped := base.Clone(), base.Clone()
	tapped.NextProtos = slices.DeleteFunc(slices.Clone(base.NextProtos), func(p string) bool { return p == "h2" })
	outer.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		tap, ok := hello.Conn.(*Conn)
		both := func(p string) bool { return p == "h2" && slices.Contains(base.NextProtos, p) }
		if !ok || !slices.Contains(hello.SupportedVersions, tls.VersionTLS13) || slices.ContainsFunc(hello.SupportedProtos, both) {
			return nil, nil // the config stays: there is nothing to take over
		}
		own := tapped.Clone()
		own.KeyLogWriter = keyLog{tap}
		return own, nil
	}
	return outer
}

// keyLog receives the secrets of a connection from crypto/tls, one on each line.
type keyLog struct{ tap *Conn }

// Write implements [io.Writer].
func (k keyLog) Write(line []byte) (int, error) {
	// The label, the random bytes of the client, and the secret, separated by spaces.
	if fields := bytes.Fields(line); len(fields) == 3 && string(fields[0]) == "SERVER_TRAFFIC_SECRET_0" {
		secret := make([]byte, hex.DecodedLen(len(fields[2])))
		if _, err := hex.Decode(secret, fields[2]); err != nil {
			return 0, err
		}
		k.tap.learn(secret)
	}
	return len(line), nil
}

// Listener returns a listener whose connections have a tap each. It closes l when it is
// closed.
func Listener(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

// Accept implements [net.Listener].
func (l listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &Conn{Conn: conn}, nil
}
