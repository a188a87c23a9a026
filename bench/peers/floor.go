package peers

import (
	"crypto/tls"
	"fmt"
	"strings"

	"github.com/sluicehq/sluice/bench/floor"
)

// leanName is the name of the floor of publishing.
const leanName = "floor-lean"

// floorPeer is the floor in one of its modes: see package floor. A reader that is
// slow costs the log that it has not read yet, without a limit, and holds up
// nobody.
func floorPeer(name string) Peer {
	return Peer{
		Name:      name,
		Floor:     true,
		Resume:    true,
		Lacks:     []string{Access, SlowReaders},
		Note:      "No server: it only writes.",
		Shared:    true,
		Version:   goVersion,
		Command:   self(name, "GODEBUG=asyncpreemptoff=1"),
		Subscribe: subscribePath,
		Publish:   publishPath,
	}
}

// leanFloor is the least that a publish costs: see [floor.ServeLean]. It has no readers.
func leanFloor() Peer {
	return Peer{
		Name:    leanName,
		Floor:   true,
		Shared:  true,
		Lacks:   []string{Resume, Access},
		Note:    "No server: it only parses, appends and answers.",
		Version: goVersion,
		Command: self(leanName),
		Publish: publishPath,
	}
}

// floorMode is the mode of the floor that a peer's name ends in.
func floorMode(name string) (floor.Mode, bool) {
	suffix, found := strings.CutPrefix(name, "floor-")
	if !found {
		return 0, false
	}
	mode, err := floor.ParseMode(suffix)
	return mode, err == nil
}

// serveFloor serves, over TLS if this process is given a certificate.
func serveFloor(addr string, mode floor.Mode) error {
	files := given()
	if files.cert == "" {
		return floor.Serve(addr, mode, nil)
	}
	pair, err := tls.LoadX509KeyPair(files.cert, files.key)
	if err != nil {
		return fmt.Errorf("peers: %w", err)
	}
	return floor.Serve(addr, mode, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13})
}
