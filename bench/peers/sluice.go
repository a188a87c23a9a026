package peers

import (
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
)

// apiKey is what everyone presents to Sluice who has no token.
const apiKey = "bench"

// sluice is the server that all this is about. Its flags are left at their
// defaults. Publishers wait until its writer loops have passed a channel's readers,
// never for a reader: one whose socket was full when it had its turn goes on where it
// was as soon as it reads again. If the channel no longer holds that, which is when the
// reader is behind by more than the replay limits and 4 MiB, a $gap event stands for
// what it missed. Its connection is cut when its socket takes nothing for 10 s.
func sluice() Peer {
	return Peer{
		Name:    "sluice",
		Resume:  true,
		Shared:  true,
		Note:    "It checks a key or a token of each request.",
		Loses:   "A reader whose socket was full at its turn may be overrun: a $gap event takes the place of what it missed.",
		Version: sluiceVersion,
		Command: func(addr, dir string, o Options) (*exec.Cmd, error) {
			if o.SluiceBin == "" {
				return nil, errors.New("peers: Options.SluiceBin is empty")
			}
			keys := filepath.Join(dir, "signing.json")
			generate := exec.Command(o.SluiceBin, "keys", "generate", "--out", keys) //nolint:gosec,noctx // ends by itself
			if out, err := generate.CombinedOutput(); err != nil {
				return nil, fmt.Errorf("peers: sluice keys generate: %w: %s", err, out)
			}
			cmd := exec.Command(o.SluiceBin, "--listen", addr, "--signing-keys", keys, "--log-level", "warn") //nolint:gosec,noctx // whoever started it ends it
			if o.certificate.cert != "" {
				cmd.Args = append(cmd.Args, "--tls-cert", o.certificate.cert, "--tls-key", o.certificate.key)
			}
			cmd.Env = append(cmd.Environ(), "SLUICE_API_KEYS="+apiKey)
			cmd.Dir = dir
			return cmd, nil
		},
		Subscribe: func(channel, lastEventID, token string) []byte {
			if token == "" {
				token = apiKey
			}
			return get("/v1/subscribe?channel="+url.QueryEscape(channel),
				"Authorization: Bearer "+token+"\r\n"+lastEvent(lastEventID))
		},
		Publish: func(channel string, payload []byte) []byte {
			return post("/v1/publish/"+url.PathEscape(channel)+"/t", "Authorization: Bearer "+apiKey+"\r\n", payload)
		},
	}
}

// sluiceVersion asks the program that will be measured, which need not be of the commit
// that this one was built from.
func sluiceVersion(o Options) string {
	out, err := exec.Command(o.SluiceBin, "version").Output() //nolint:gosec,noctx // ends by itself
	version := strings.TrimSpace(string(out))
	if err != nil || version == "" {
		return "unknown"
	}
	return version
}
