package peers

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/sluicehq/sluice/bench/floor"
)

// maxBody is the longest message that the Go peers take, in bytes: as much as
// Sluice does by default.
const maxBody = 60 << 10

// Serve runs the peer of that name in this process, on addr, until the process
// ends; it returns only with an error. Sluice and nchan are programs of their own
// and cannot be served so.
func Serve(name, addr string, _ Options) error {
	if mode, ok := floorMode(name); ok {
		return serveFloor(addr, mode)
	}
	var handler http.Handler
	var err error
	switch name {
	case leanName:
		return floor.ServeLean(addr)
	case "nethttp":
		handler = netHTTPHandler(false)
	case replayName:
		handler = netHTTPHandler(true)
	case "r3labs":
		handler = r3labsHandler()
	case "go-sse":
		handler, err = goSSEHandler()
	case "centrifuge":
		handler, err = centrifugeHandler()
	case "bare":
		handler = bareHandler()
	default:
		return fmt.Errorf("peers: %q is no peer that runs inside this program", name)
	}
	if err != nil {
		return fmt.Errorf("peers: %s: %w", name, err)
	}
	// No time limits but this one: streams and their publishers are long.
	server := &http.Server{Addr: addr, Handler: handler, ReadHeaderTimeout: 30 * time.Second}
	if files := given(); files.cert != "" {
		server.Protocols = new(http.Protocols)
		server.Protocols.SetHTTP1(true)
		server.Protocols.SetHTTP2(true)
		return fmt.Errorf("peers: %s: %w", name, server.ListenAndServeTLS(files.cert, files.key))
	}
	return fmt.Errorf("peers: %s: %w", name, server.ListenAndServe())
}

// self is the Command of the peers that run inside the program that measures.
func self(name string, environment ...string) func(addr, dir string, o Options) (*exec.Cmd, error) {
	return func(addr, _ string, o Options) (*exec.Cmd, error) {
		if o.Self == "" {
			return nil, errors.New("peers: Options.Self is empty")
		}
		cmd := exec.Command(o.Self, "serve", name, addr) //nolint:gosec,noctx // our own binary; whoever started it ends it
		cmd.Env = append(cmd.Environ(), environment...)
		if o.certificate.cert != "" {
			cmd.Env = append(cmd.Env, "BENCH_TLS_CERT="+o.certificate.cert, "BENCH_TLS_KEY="+o.certificate.key)
		}
		return cmd, nil
	}
}

// module is the version of a Go module inside this program.
func module(path string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == path {
				return m.Version
			}
		}
	}
	return "unknown"
}

// goVersion is a Version of what is made of nothing but Go.
func goVersion(Options) string { return runtime.Version() }

// payload reads what is to be published and answers for it when it is too long.
func payload(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return nil, false
	}
	return body, true
}
