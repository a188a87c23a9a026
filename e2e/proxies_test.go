package e2e_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// proxy is a program with a configuration in deploy/proxies.
type proxy struct {
	name, file string
	listens    string                          // the line, or a part of it, that says where it listens
	on         func(socket string) string      // the same for a Unix socket
	whole      func(dir, config string) string // the file to start it with
	command    func(dir, path string) (args []string)
}

// proxies are those that Debian has. Traefik's configuration is not run.
func proxies() []proxy {
	as := func(_, config string) string { return config }
	return []proxy{
		{
			"nginx", "nginx.conf", "listen 80;", func(socket string) string { return "listen unix:" + socket + ";" },
			func(_, config string) string {
				paths := ""
				for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
					paths += kind + "_temp_path " + kind + ";\n"
				}
				return "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr;\nevents {}\nhttp {\n" + paths + config + "}\n"
			},
			func(dir, path string) []string { return []string{"-p", dir, "-c", path, "-e", "stderr"} },
		},
		{
			"haproxy", "haproxy.cfg", "bind :80", func(socket string) string { return "bind unix@" + socket }, as,
			func(_, path string) []string { return []string{"-db", "-f", path} },
		},
		{
			"caddy", "Caddyfile", "sluice.example.com {", func(socket string) string { return ":80 {\n\tbind unix/" + socket },
			func(_, config string) string { return "{\n\tadmin off\n}\n" + config },
			func(_, path string) []string { return []string{"run", "--adapter", "caddyfile", "--config", path} },
		},
	}
}

// start runs the proxy in front of a server, with its configuration as it stands but for
// the two addresses. It returns the socket on which it listens.
func (p proxy) start(t *testing.T, s *server) string {
	t.Helper()
	if _, err := exec.LookPath(p.name); err != nil {
		t.Skipf("%s is not installed", p.name)
	}
	text, err := os.ReadFile(filepath.Join("../deploy/proxies", p.file))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	socket := filepath.Join(shortTempDir(t), "s")
	config := string(text)
	for old, replacement := range map[string]string{p.listens: p.on(socket), "127.0.0.1:8080": s.address()} {
		at := 0
		for line := range strings.Lines(config) {
			if strings.Contains(line, old) && !strings.HasPrefix(strings.TrimSpace(line), "#") {
				at++
			}
		}
		if at != 1 {
			t.Fatalf("%s has %d lines with %q, want 1", p.file, at, old)
		}
		config = strings.ReplaceAll(config, old, replacement)
	}
	path := filepath.Join(dir, p.file)
	if err := os.WriteFile(path, []byte(p.whole(dir, config)), 0o600); err != nil {
		t.Fatal(err)
	}
	running := launch(t, nil, nil, p.name, p.command(dir, path)...)
	eventually(t, func() bool {
		select {
		case <-running.ended:
			t.Fatalf("%s does not start: %s", p.name, running.stderr.String())
		default:
		}
		conn, err := net.Dial("unix", socket)
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
	return socket
}

// shortTempDir is a directory whose path leaves room for a socket's name.
func shortTempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "p") //nolint:usetesting // t.TempDir has the test's name in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// TestProxies runs the configurations in deploy/proxies. Through each proxy, every event
// arrives before the next one is published, and so does every piece of a text.
func TestProxies(t *testing.T) {
	t.Parallel()
	for _, p := range proxies() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, nil, "sluice", "--api-keys="+testKey, "--signing-secret="+strings.Repeat("s", 32))
			wire := newCutter(t, "unix", p.start(t, s))
			// A proxy that asks for the health may have to learn first that the server is there.
			c := newClient(t)
			eventually(t, func() bool {
				resp, err := c.Get(wire.url + "/readyz")
				if err != nil {
					return false
				}
				resp.Body.Close()
				return resp.StatusCode == http.StatusOK
			})
			events, _ := subscribe(t, c, wire.url+"/v1/subscribe?channel=a", s.key, "")
			lines := launch(t, nil, nil, "curl", "-sSN", wire.url+"/v1/subscribe?channel=a", "-H", "Accept: application/x-ndjson", "-H", "Authorization: Bearer "+s.key)
			if _, err := lines.stdout.wait(within(t, patience), 0, `"event":"\$live"`); err != nil {
				t.Fatal(err)
			}
			for n := range 5 {
				data := fmt.Sprintf(`{"n":%d}`, n)
				call(t, c, s.key, http.MethodPost, wire.url+"/v1/publish/a/t", data, nil)
				if e := events.expect(t, "t"); !strings.Contains(e.Data, `"data":`+data) {
					t.Fatalf("wanted %s, got %s", data, e.Data)
				}
				if _, err := lines.stdout.wait(within(t, patience), 0, fmt.Sprintf(`"data":\{"n":%d\}`, n)); err != nil {
					t.Fatal(err)
				}
			}
			curl, body := upload(t, s.key, wire.url+"/v1/publish/a/log/stream", "-T", "-")
			events.expectData(t, "datastream-start", "{}")
			for _, piece := range []string{"building", "done"} {
				io.WriteString(body, piece)
				events.expectData(t, "chunk", `"`+piece+`"`)
			}
			body.Close()
			events.expectData(t, "datastream-end", `{"reason":"complete"}`)
			expectReceipt(t, curl, 2, 12)
		})
	}
}
