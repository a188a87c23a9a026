package handlers_test

import (
	"context"
	"testing"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/disk"
	"github.com/sluicehq/sluice/schemas"
)

// silent is an engine that does not answer publishes in time.
type silent struct{ *disk.Engine }

// Append implements [broker.Engine].
func (silent) Append(context.Context, broker.Entry) (schemas.Receipt, error) {
	return schemas.Receipt{}, broker.ErrUncertain
}

// uncertain is what a publisher is told of whom nobody knows whether it was done: not
// what says that nothing was.
func (s *suite) uncertain(t *testing.T) {
	e := must(disk.Open(t.TempDir(), disk.Options{}))
	t.Cleanup(func() { _ = e.Close() })
	srv := s.start(t, func(o *setup) { o.broker.Engine = silent{e} })
	srv.run(t, []call{{name: "publish", method: "POST", path: "/v1/publish/a/b", body: "1", as: apiKey, status: 504, problem: "engine-timeout"}})
}
