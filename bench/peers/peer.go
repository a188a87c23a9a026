package peers

import (
	"fmt"
	"net/url"
	"os/exec"
)

// Peer is a server that can be measured. It runs as a process, or a tree of
// processes, of its own. All its functions can be called at the same time.
type Peer struct {
	// Name is what the command line and the reports call it.
	Name string
	// Floor marks a physical limit: not a server that one would run.
	Floor bool
	// Resume says that it keeps messages and gives a reader that comes back with
	// the id of its last event exactly what it missed.
	Resume bool
	// Returns says that it is measured only where readers come back.
	Returns bool
	// Shared says that a request names its channel. (All do.)
	Shared bool
	// Secure says that it speaks TLS 1.3, and that it is measured where TLS is.
	Secure bool
	// HTTP2 says that a client over TLS may also choose HTTP/2.
	HTTP2 bool
	// Lacks names what it does not do, of [Resume] and the others, beside which its
	// figures are to be read.
	Lacks []string
	// Note says in a sentence or two what is to be known of it. May be empty.
	Note string
	// Loses says when the peer does not deliver everything; empty if nothing is
	// known that makes it lose a message for a reader that stays connected.
	Loses string

	// Version names what runs with these options, as "nchan 1.3.6, nginx 1.22.1";
	// what is not installed, or does not say, is "unknown".
	Version func(Options) string
	// Command is the process, not started yet, that serves on addr, an IPv4
	// address and a port. dir is an empty folder of its own, an absolute path. The
	// process ends on SIGTERM, and its children with it. Killed by force, nginx
	// leaves its worker behind: kill the process group then.
	Command func(addr, dir string, o Options) (*exec.Cmd, error)
	// Subscribe is a whole request for the events of a channel from now on, or, if
	// lastEventID is not empty and the peer can resume, from after that one. A
	// token that is empty stands for the peer's own credential. Nil for a server
	// that has no readers. The reader's subscription may be young when the head of
	// the answer comes: it is certain with the first message.
	Subscribe func(channel, lastEventID, token string) []byte
	// IDPrefix is what stands before the id of an event on a line of its own, which the
	// id ends with a quote. Empty for the ids of Server-Sent Events.
	IDPrefix string
	// Create is a whole request that makes a channel, which is answered with 2xx. Nil
	// for servers that need none.
	Create func(channel string) []byte
	// Publish is a whole request that publishes payload, one line of JSON, over a
	// connection that is kept. It is answered with 2xx.
	Publish func(channel string, payload []byte) []byte
}

// What a peer may lack.
const (
	// Resume is what [Peer.Resume] says, for readers that do no more than EventSource.
	Resume = "resume"
	// Access is a check of who publishes and who reads what.
	Access = "access control"
	// SlowReaders is that a reader that takes nothing neither holds up others nor costs
	// memory without a limit.
	SlowReaders = "slow readers"
	// Limits is a limit on the memory of messages that are kept.
	Limits = "limits"
)

// Options are what a run asks of a peer.
type Options struct {
	// Streams is how many streams there will be at a time, for peers that must be
	// told; 0 stands for 20,000.
	Streams int
	// Channels is how many channels there will be.
	Channels int
	// SluiceBin is the path of the Sluice binary, which only its own peer needs.
	SluiceBin string
	// Self is the path of a binary whose command "serve NAME ADDR" calls [Serve],
	// which the peers that are written in Go need.
	Self string
	// Node is the path of the folder node of this module, where "npm ci" has installed
	// what the peers that are written in JavaScript need.
	Node string

	certificate certificate // of a peer over TLS
}

// streams is the number of streams to be ready for.
func (o Options) streams() int {
	if o.Streams <= 0 {
		return 20_000
	}
	return o.Streams
}

// All returns every peer: Sluice, the floors, then the others; each that is measured over
// TLS, too, a second time.
func All() []Peer {
	return []Peer{
		sluice(),
		overTLS(sluice()),
		portable(sluice()),
		floorPeer("floor-write"),
		floorPeer("floor-coalesce"),
		overTLS(floorPeer("floor-coalesce")),
		floorPeer("floor-1ms"),
		overTLS(floorPeer("floor-1ms")),
		leanFloor(),
		netHTTP(),
		overTLS(netHTTP()),
		netHTTPReplay(),
		overTLS(netHTTPReplay()),
		r3labs(),
		goSSE(),
		overTLS(goSSE()),
		centrifugeSSE(),
		nchan(),
		overTLS(nchan()),
		nodeSSE(),
		durableStreams(),
		bare(),
	}
}

// ByName returns the peer of that name.
func ByName(name string) (Peer, bool) {
	for _, p := range All() {
		if p.Name == name {
			return p, true
		}
	}
	return Peer{}, false
}

// get builds a GET request; headers are whole lines with their line ends.
func get(target, headers string) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n%s\r\n", target, headers)
}

// post builds a POST request; headers are whole lines with their line ends.
func post(target, headers string, payload []byte) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s",
		target, headers, len(payload), payload)
}

// lastEvent is the header line of a reader that comes back, if it does.
func lastEvent(id string) string {
	if id == "" {
		return ""
	}
	return "Last-Event-ID: " + id + "\r\n"
}

// subscribePath and publishPath are the requests of the servers whose addresses
// are ours to choose.
func subscribePath(channel, lastEventID, _ string) []byte {
	return get("/sub/"+url.PathEscape(channel), lastEvent(lastEventID))
}

func publishPath(channel string, payload []byte) []byte {
	return post("/pub/"+url.PathEscape(channel), "", payload)
}
