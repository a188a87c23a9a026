package e2e_test

import (
	"net"
	"net/http"
	"testing"
)

// TestDescriptors shows that a server without descriptors left serves those whom
// it has, and the others once there are some again.
func TestDescriptors(t *testing.T) {
	for name, flags := range paths() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, nil, "sh", append([]string{"-c", `ulimit -n 48; exec sluice "$@"`, "sluice", "--dev", "--log-level=debug"}, flags...)...)
			in, _ := s.subscribe(t, "channel=a", "")
			publisher := newClient(t)
			publish := func(data string) {
				t.Helper()
				if status := call(t, publisher, s.key, http.MethodPost, s.url+"/v1/publish/a/t", data, nil); status != http.StatusCreated {
					t.Fatalf("publish: %d", status)
				}
				in.expect(t, "t")
			}
			publish("1")
			var idle []net.Conn
			for range 100 {
				idle = append(idle, dial(t, s.address()))
			}
			s.logged(t, 0, `too many open files`)
			publish("2")
			for _, conn := range idle {
				conn.Close()
			}
			fresh := s.publish(t, "a", "t", "3")
			if e := in.expect(t, "t"); e.ID != fresh {
				t.Errorf("the reader got %s, want %s", e.ID, fresh)
			}
			again, _ := s.subscribe(t, "channel=a&replay=all", "")
			for range 3 {
				again.expect(t, "t")
			}
		})
	}
}
