package handlers_test

import (
	"context"
	"net"
	"testing"
)

// withoutDescriptor hides the descriptors of its connections, so that no writer loop can take
// them over.
type withoutDescriptor struct{ net.Listener }

func (l withoutDescriptor) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return struct{ net.Conn }{conn}, err
}

// notTakenOver tests streams that no writer loop can take over. The clients are told to come back,
// and the log says why.
func (s *suite) notTakenOver(t *testing.T) {
	srv := s.start(t, func(o *setup) {
		l := must(net.Listen("tcp", "127.0.0.1:0"))
		o.listener = withoutDescriptor{l}
		o.dial = func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
		}
	})
	if !srv.broker.HasLoops() {
		t.Skip("there are no writer loops")
	}
	s.refused(t, srv, apiKey, 4029, "too_many_streams", srv.broker.Head("c").String())
	lines := call{
		method: "GET", path: "/v1/subscribe?channel=c", as: apiKey, header: map[string]string{"Accept": "application/x-ndjson"},
		status: 429, problem: "too-many-streams", sets: map[string]string{"Retry-After": "5", "Connection": "-"},
	}
	if srv.sealed() { // the head was written when it turned out
		lines.status, lines.problem, lines.sets = 200, "", nil
	}
	srv.check(t, lines)
	if n := len(srv.log.lines("stream not taken over", `"level":"WARN"`, `"code":4029`)); n < 2 {
		t.Errorf("the log says it %d times", n)
	}
	if n := srv.broker.Stats().Streams; n != 0 {
		t.Errorf("%d streams are left", n)
	}
}
