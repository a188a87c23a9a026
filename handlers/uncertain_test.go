package handlers_test

import (
	"context"
	"testing"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/clusterstate"
	"github.com/sluicehq/sluice/broker/engine/disk"
	"github.com/sluicehq/sluice/schemas"
)

// silent is an engine that does not answer in time.
type silent struct{ *disk.Engine }

// Append implements [engine.Engine].
func (silent) Append(context.Context, engine.Entry) (schemas.Receipt, error) {
	return schemas.Receipt{}, engine.ErrUncertain
}

// Delete implements [engine.Engine].
func (silent) Delete(context.Context, schemas.Channel) (bool, error) {
	return false, engine.ErrUncertain
}

// uncertain checks the answer if nobody knows whether a request took effect: it must not say
// that nothing was done.
func (s *suite) uncertain(t *testing.T) {
	e := must(disk.Open(t.TempDir(), disk.Options{}))
	t.Cleanup(func() { _ = e.Close() })
	c := cluster{fault: clusterstate.ErrUncertain}
	srv := s.start(t, c.join, func(o *setup) { o.broker.Engine = silent{e} })
	if err := srv.catalog.Put(schemas.Definition{Name: "run:{id}"}); err != nil {
		t.Fatal(err)
	}
	for _, asked := range []call{
		{method: "POST", path: "/v1/publish/a/b", body: "1"},
		{method: "POST", path: "/v1/publish", body: `{"channel":"a","topic":"b","data":1}`},
		{method: "POST", path: "/v1/publish/a/b/stream", body: "text"},
		{method: "PUT", path: "/v1/publish/a/b/stream", body: "text"},
		{method: "PUT", path: "/v1/channels/a/run", body: `{"status":"running"}`},
		{method: "DELETE", path: "/v1/channels/a"},
		{method: "DELETE", path: "/v1/tokens/jti"},
		{method: "DELETE", path: "/v1/subscribers?sub=u"},
		{method: "PUT", path: "/v1/schemas/a", body: `{}`},
		{method: "DELETE", path: "/v1/schemas/run:%7Bid%7D"},
	} {
		asked.name, asked.as = asked.method+" "+asked.path, apiKey
		asked.status, asked.problem = 504, "engine-timeout"
		srv.run(t, []call{asked})
	}
}
