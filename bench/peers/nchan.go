package peers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"
)

// nchanModule is where Debian's libnginx-mod-nchan puts the module.
const nchanModule = "/usr/lib/nginx/modules/ngx_nchan_module.so"

// ErrNotInstalled is what a peer's Command returns when the programs that it needs
// are not there; the text says what to install.
var ErrNotInstalled = errors.New("peers: not installed")

// nchan is nginx with the nchan module, one worker. The message buffer is as long
// as Sluice's, 256: when messages come faster than readers take them its authors
// advise a longer buffer than the 10 it has by default. Each reader is written to
// once an event. Publishers do not wait for readers: a reader that stalled while
// 40 MB were published got all of it afterwards, from nginx's memory.
func nchan() Peer {
	return Peer{
		Name:      "nchan",
		Resume:    true,
		Shared:    true,
		Lacks:     []string{SlowReaders},
		Note:      "It can ask another server who may read; here everybody may. What a slow reader lacks stays in memory.",
		Version:   nchanVersion,
		Command:   nchanCommand,
		Subscribe: subscribePath,
		Publish:   publishPath,
	}
}

// nchanConfig is all that nginx is told. Beyond two locations and the buffer there
// is what a benchmark needs: TLS if asked for, enough connections, publishers that may send more
// than 1,000 requests, a backlog like that of the Go servers, no access log, and
// all files in a folder of its own.
const nchanConfig = `load_module {{.Module}};
daemon off;
worker_processes 1;
worker_rlimit_nofile {{.Files}};
pid {{.Dir}}/nginx.pid;
error_log {{.Dir}}/error.log warn;
{{if .Root}}user root;
{{end}}events {
	worker_connections {{.Connections}};
}
http {
	access_log off;
	client_body_temp_path {{.Dir}}/body;
	proxy_temp_path {{.Dir}}/proxy;
	fastcgi_temp_path {{.Dir}}/fastcgi;
	uwsgi_temp_path {{.Dir}}/uwsgi;
	scgi_temp_path {{.Dir}}/scgi;
	keepalive_requests 1000000000;
	server {
		listen {{.Addr}}{{if .Cert}} ssl{{end}} backlog=4096;
{{if .Cert}}		ssl_certificate {{.Cert}};
		ssl_certificate_key {{.Key}};
		ssl_protocols TLSv1.3;
{{end}}		location ~ ^/sub/(.+)$ {
			nchan_subscriber eventsource;
			nchan_channel_id $1;
			nchan_subscriber_first_message newest;
		}
		location ~ ^/pub/(.+)$ {
			nchan_publisher;
			nchan_channel_id $1;
			nchan_message_buffer_length 256;
		}
	}
}
`

func nchanCommand(addr, dir string, o Options) (*exec.Cmd, error) {
	nginx, err := exec.LookPath("nginx")
	if _, missing := os.Stat(nchanModule); err != nil || missing != nil {
		return nil, fmt.Errorf("%w: apt-get install nginx-light libnginx-mod-nchan", ErrNotInstalled)
	}
	config, err := template.New("nginx.conf").Parse(nchanConfig)
	if err != nil {
		return nil, fmt.Errorf("peers: nchan: %w", err)
	}
	var text strings.Builder
	err = config.Execute(&text, map[string]any{
		"Module": nchanModule,
		"Files":  o.streams() + 256,
		// Once fewer than a sixteenth are free, nginx ends connections that have not
		// sent a request yet.
		"Connections": o.streams() + o.streams()/8 + 256,
		"Dir":         dir,
		"Addr":        addr,
		"Cert":        o.certificate.cert,
		"Key":         o.certificate.key,
		"Root":        os.Getuid() == 0, // else the worker could not reach dir
	})
	if err != nil {
		return nil, fmt.Errorf("peers: nchan: %w", err)
	}
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		return nil, fmt.Errorf("peers: nchan: %w", err)
	}
	return exec.Command(nginx, "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", file), nil //nolint:gosec,noctx // whoever started it ends it
}

// nchanVersion asks the package manager and nginx.
func nchanVersion(Options) string {
	module, server := "unknown", "unknown"
	if out, err := exec.Command("dpkg-query", "-W", "-f", "${Version}", "libnginx-mod-nchan").Output(); err == nil { //nolint:noctx // ends by itself
		_, module, _ = strings.Cut(string(out), ":") // without epoch
		module, _, _ = strings.Cut(module, "+")      // and Debian's own revision
	}
	if out, err := exec.Command("nginx", "-v").CombinedOutput(); err == nil { //nolint:noctx // ends by itself
		_, server, _ = strings.Cut(strings.TrimSpace(string(out)), "nginx/")
	}
	return "nchan " + module + ", nginx " + server
}
