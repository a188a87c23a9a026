package program

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// The channel and the topic of the lines to paste.
const (
	sampleChannel = "pipeline:run_42"
	sampleTopic   = "status"
)

// printBanner prints where the server listens and, in development, commands to paste into
// another terminal.
func printBanner(w io.Writer, cfg *Config, addr net.Addr) error {
	base, curl, public := addressOf(cfg, addr)
	if !cfg.Dev {
		_, err := fmt.Fprintf(w, "Sluice %s listens on %s\n%s", versionName(), base, keptIn(cfg))
		return err
	}
	_, err := fmt.Fprintf(w, `Sluice %[1]s for development listens on %[2]s
%[3]s
In another terminal:

  export SLUICE_URL=%[2]s SLUICE_API_KEY=%[4]s

  %[5]s subscribe %[6]s --replay all
  %[5]s publish %[6]s %[7]s '{"message":"Hello"}'

  %[8]s -N "%[9]s/v1/subscribe?channel=%[6]s&replay=all" -H "Authorization: Bearer $SLUICE_API_KEY"
  %[8]s "%[9]s/v1/publish/%[6]s/%[7]s" -H "Authorization: Bearer $SLUICE_API_KEY" -d '{"message":"Hello"}'
`, versionName(), shellWord(base), keptIn(cfg), shellWord(cfg.APIKeys[0]), invoked(), sampleChannel, sampleTopic, curl, public)
	if err != nil || isSocket(addr) {
		return err
	}
	_, err = fmt.Fprintf(w, "\nIn a browser, %s/ shows what the server is doing, and every message.\n", base)
	return err
}

// addressOf returns the address of the server for its commands, and curl with the address
// that it needs.
func addressOf(cfg *Config, addr net.Addr) (base, curl, forCurl string) {
	if isSocket(addr) {
		return socketPrefix + addr.String(), "curl --unix-socket " + shellWord(addr.String()), "http://localhost"
	}
	scheme, host := "http", addr.String()
	if cfg.TLSCert != "" {
		scheme = "https"
	}
	if tcp, ok := addr.(*net.TCPAddr); ok && cfg.Dev && tcp.IP.IsUnspecified() {
		host = net.JoinHostPort("127.0.0.1", strconv.Itoa(tcp.Port))
	}
	return scheme + "://" + host, "curl", "$SLUICE_URL"
}

// invoked returns the command that runs this program again. What go run starts stands in a
// folder of the build cache.
func invoked() string {
	if strings.Contains(filepath.ToSlash(os.Args[0]), "/go-build") {
		return "go run ./server"
	}
	return shellWord(os.Args[0])
}

// keptIn returns a line that says where messages are stored, "" if they are in memory
// only.
func keptIn(cfg *Config) string {
	const head = "Engine: "
	switch cfg.engine() {
	case diskEngine:
		return head + "disk, in " + printable(cfg.Data) + "\n"
	case natsEngine:
		return head + "nats, at " + printable(strings.Join(withoutUsers(cfg.NATS), " ")) + "\n"
	}
	return ""
}

// shellWord returns text as one word for a shell.
func shellWord(text string) string {
	if regexp.MustCompile(`^[\w./:@%+=-]+$`).MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(printable(text), "'", `'\''`) + "'"
}
