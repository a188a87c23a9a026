package e2e_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/sluicehq/sluice/internal/natstest"
)

// TestSystem_nodes reads $system of one of three nodes: it lists all of them, and after one was
// killed the others.
func TestSystem_nodes(t *testing.T) {
	nats := natstest.Start(t, "")
	var nodes []*server
	for range 3 {
		nodes = append(nodes, serve(t, nil, "sluice", "--api-keys="+testKey, "--nats="+nats.URL()))
	}
	nodes[1].publish(t, "a", "t", "1")
	req, err := http.NewRequestWithContext(within(t, patience), http.MethodGet, nodes[0].url+"/v1/subscribe?channel=$system&topic=nodes", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+testKey)
	resp, err := newClient(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	events := newDecoder(resp.Body)
	lists := func(count int) (published int) {
		t.Helper()
		for {
			e, err := events.next()
			if err != nil {
				t.Fatalf("%d nodes were never listed: %v", count, err)
			}
			var m struct {
				Data struct{ Nodes []struct{ Published int } }
			}
			if e.Type != "nodes" {
				continue
			}
			if err := json.Unmarshal([]byte(e.Data), &m); err != nil {
				t.Fatal(err)
			}
			if len(m.Data.Nodes) != count {
				continue
			}
			for _, n := range m.Data.Nodes {
				published += n.Published
			}
			return published
		}
	}
	if published := lists(3); published != 1 {
		t.Errorf("the nodes say that %d messages were published", published)
	}
	nodes[2].kill()
	lists(2)
}
