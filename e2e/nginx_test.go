package e2e_test

import (
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What a location has. There is nothing about buffering or time-outs in any of
// them: streams must pass without that.
const (
	withKeepAlive = `proxy_http_version 1.1; proxy_set_header Connection "";` // what every manual has
	withNothing   = ``                                                        // so that nginx speaks HTTP/1.0
	withPath      = `proxy_pass http://UPSTREAM/;` + withKeepAlive            // so that nginx decodes paths
)

// nginxConfig is a proxy in front of a server.
const nginxConfig = `
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events {}
http {
	access_log off;
	server {
		listen unix:SOCKET;
		location / {
			proxy_pass http://UPSTREAM;
			LOCATION
		}
	}
}
`

// startNginx runs nginx in front of the server and returns the socket on which
// it listens.
func startNginx(t testing.TB, s *server, location string) string {
	t.Helper()
	dir := t.TempDir()
	socket := filepath.Join(dir, "socket")
	config := strings.Replace(nginxConfig, "LOCATION", location, 1)
	if strings.Contains(location, "proxy_pass") {
		config = strings.Replace(config, "proxy_pass http://UPSTREAM;", "", 1)
	}
	config = strings.NewReplacer("SOCKET", socket, "UPSTREAM", s.address()).Replace(config)
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		config = strings.Replace(config, "http {", "http {\n\t"+name+"_temp_path "+name+";", 1)
	}
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	nginx := launch(t, nil, nil, "nginx", "-p", dir, "-c", path, "-e", "stderr")
	eventually(t, func() bool {
		select {
		case <-nginx.ended:
			t.Fatal("nginx does not start")
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

// eventually waits for something of which there is no event to wait for. If it does not
// happen, the test fails and says what there is instead.
func eventually(t testing.TB, done func() bool, instead ...func() string) {
	t.Helper()
	ctx := within(t, patience)
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for !done() {
		select {
		case <-look.C:
		case <-ctx.Done():
			for _, describe := range instead {
				t.Log(describe())
			}
			t.Fatal("it did not happen")
		}
	}
}

// TestNginx_namesInQuery publishes to names that a proxy which decodes paths
// would turn into others.
func TestNginx_namesInQuery(t *testing.T) {
	t.Parallel()
	s := start(t)
	wire := newCutter(t, "unix", startNginx(t, s, withPath))
	for _, name := range []string{"a/b", "a/..b", "a%2Fb", "a//b", "é&=+"} {
		in := url.QueryEscape(name)
		curl, body := upload(t, s.key, wire.url+"/v1/publish/$/$?channel="+in+"&topic=t", "-X", "POST", "-T", "-")
		body.WriteString("1")
		body.Close()
		if answer := curl.succeeds(t); !strings.Contains(answer, `"channel":"`+name+`"`) {
			t.Errorf("%s: %s", name, answer)
		}
	}
}
