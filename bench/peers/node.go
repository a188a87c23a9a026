package peers

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// durableModule is where npm puts the package of Durable Streams.
const durableModule = "node_modules/@durable-streams/server/package.json"

// nodeSSE is the server of node/sse.js, which is written as people write it: a set of
// responses for each channel, and a write to each. It has no ids and keeps nothing.
// What a slow reader has not taken yet waits in the memory of the process.
func nodeSSE() Peer {
	return Peer{
		Name:      "node-sse",
		Shared:    true,
		Lacks:     []string{Resume, Access, SlowReaders},
		Note:      "What a slow reader has not taken stays in memory, a copy for each such reader, without a limit.",
		Version:   nodeVersion,
		Command:   node("sse.js", ""),
		Subscribe: subscribePath,
		Publish:   publishPath,
	}
}

// durableStreams is the server of the npm package @durable-streams/server, which its
// authors recommend for development and tests, with its store in memory. A stream must be
// made before it is used, and keeps every message for ever. The position of a reader
// comes in an event of its own after the messages, and a reader that comes back names it
// in the address: the package's own client does, and EventSource does not. For each
// message the server looks at all readers that wait, of all streams. What a slow reader
// has not taken yet waits in the memory of the process.
func durableStreams() Peer {
	path := func(channel string) string { return "/bench/" + url.PathEscape(channel) }
	return Peer{
		Name:   "durable-streams",
		Resume: true,
		Shared: true,
		Lacks:  []string{Access, SlowReaders, Limits},
		Note: "A reference implementation that its authors recommend for development. Readers resume with its own client, by the address. " +
			"Every message is kept for ever, and so is what a slow reader has not taken.",
		Version: func(o Options) string {
			return "@durable-streams/server " + packageVersion(filepath.Join(o.Node, durableModule)) + ", " + nodeVersion(o)
		},
		Command:  node("durable-streams.js", durableModule),
		IDPrefix: `data:{"streamNextOffset":"`,
		Create: func(channel string) []byte {
			return fmt.Appendf(nil, "PUT %s HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n", path(channel))
		},
		Subscribe: func(channel, lastEventID, _ string) []byte {
			if lastEventID == "" {
				lastEventID = "now"
			}
			return get(path(channel)+"?live=sse&offset="+url.QueryEscape(lastEventID), "")
		},
		Publish: func(channel string, payload []byte) []byte { return post(path(channel), "", payload) },
	}
}

// node is the Command of a script in the folder node, which needs a file there that npm
// installs, unless that is empty.
func node(script, needs string) func(addr, dir string, o Options) (*exec.Cmd, error) {
	return func(addr, dir string, o Options) (*exec.Cmd, error) {
		if o.Node == "" {
			return nil, errors.New("peers: Options.Node is empty")
		}
		program, err := exec.LookPath("node")
		if err != nil {
			return nil, fmt.Errorf("%w: Node.js", ErrNotInstalled)
		}
		if _, err := os.Stat(filepath.Join(o.Node, needs)); err != nil {
			return nil, fmt.Errorf("%w: npm --prefix %s ci", ErrNotInstalled, o.Node)
		}
		cmd := exec.Command(program, filepath.Join(o.Node, script), addr) //nolint:gosec,noctx // whoever started it ends it
		cmd.Dir = dir
		return cmd, nil
	}
}

// nodeVersion asks Node.js.
func nodeVersion(Options) string {
	out, err := exec.Command("node", "--version").Output() //nolint:noctx // ends by itself
	if err != nil {
		return "unknown"
	}
	return "Node.js " + strings.TrimPrefix(strings.TrimSpace(string(out)), "v")
}

// packageVersion is the version in a package.json.
func packageVersion(file string) string {
	var p struct{ Version string }
	text, err := os.ReadFile(file)
	if err != nil || json.Unmarshal(text, &p) != nil || p.Version == "" {
		return "unknown"
	}
	return p.Version
}
