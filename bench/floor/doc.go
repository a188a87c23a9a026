// Package floor is the physical limit that servers of Server-Sent Events are
// measured against: one thread, epoll, non-blocking sockets, one log of finished
// frames a channel, and nothing else.
//
// It delivers everything, in order, to every reader that stays: a reader whose
// socket is full keeps its position in the channel's log and goes on when the
// socket takes bytes again. A reader that comes back with Last-Event-ID is sent
// what it missed of the channel's last 256 frames.
//
// It is no server for use: it has no limits of time or memory (a reader that
// stalls for ever keeps its channel's log for ever), no credentials, no heartbeat,
// and it ends the connection of whoever sends what it does not expect.
//
// Over TLS 1.3 it does the same: it leaves the handshake to crypto/tls and seals what
// readers are sent itself, a record for each write.
//
// What it is asked:
//
//	GET /sub/CHANNEL      answered at once: head, one short event "open", then the
//	                      channel's frames until the connection closes
//	POST /pub/CHANNEL     with Content-Length; the body, one line, becomes a frame;
//	                      answered 201 as soon as the frame is built
//
// A channel's name is what stands in the path up to the first ? or white space,
// byte for byte.
package floor
