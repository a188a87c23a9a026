// Package load is a client of event streams that checks every event: thousands of readers
// and a few publishers on one thread, over raw epoll.
//
// It promises that each event is looked at on each connection, that nothing is allocated
// for one, and that an event costs well under the time in which a server can send it, so
// that one core reads what another core writes. It knows HTTP/1.1 and server-sent events,
// and no server: what to ask is handed to it as bytes.
//
// A [Client] needs Linux; the parts that parse are portable.
package load
