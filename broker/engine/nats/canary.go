package nats

import (
	"log/slog"
	"strconv"
	"time"

	natsio "github.com/nats-io/nats.go"

	"github.com/sluicehq/sluice/broker/engine/nats/internal/jetstream"
)

const canaryEvery = time.Second

// startCanary sends the first canary, and has it sent every second. It travels ahead of all
// that this node stores, so that no record can be there without it, see [Engine.ended].
func (e *Engine) startCanary() {
	call := e.client.NewCall(16)
	e.sendCanary(call)
	e.running.Go(func() { e.watchCanary(call) }) // until e.life ends
}

// watchCanary sends the canary every second until the engine is closed, and acts on
// what becomes of it. What the canary is for: see [health].
func (e *Engine) watchCanary(call *jetstream.Call) {
	defer call.Close()
	tick := time.NewTicker(canaryEvery)
	defer tick.Stop()
	for {
		select {
		case <-e.life.Done():
			return
		case m := <-call.Answers():
			e.canaryAnswered(m)
		case now := <-tick.C:
			e.checkCanary(now)
			e.sendCanary(call)
		}
	}
}

// sendCanary sends the canary. One that cannot be sent does not come back, and that is
// noticed.
func (e *Engine) sendCanary(call *jetstream.Call) {
	m := jetstream.NewMsg(e.canary, strconv.AppendInt(nil, time.Now().UnixMilli(), 10), e.opts.canaryKept)
	jetstream.Replace(m)
	_ = call.Send(m)
}

// canaryAnswered takes what the stream's leader answers to the canary. If the leader
// stored it, it may still be lost on its way back; if the leader refused it, it cannot
// come back.
func (e *Engine) canaryAnswered(m *natsio.Msg) {
	_, err := jetstream.Acknowledged(m)
	switch {
	case err == nil:
		if e.health.canaryStored(nil) {
			e.opts.Log.Info("nats stores messages again")
		}
	case jetstream.IsRefusal(err):
		if e.health.canaryStored(err) {
			e.opts.Log.Error("nats refuses to store messages", slog.Any("error", err))
		}
	}
}

// checkCanary does what has to be done while the canary is missing, and says when that is over.
func (e *Engine) checkCanary(now time.Time) {
	todo := e.health.check(now, len(e.conn.Servers()))
	if todo.recovered {
		e.opts.Log.Info("nats is within reach again, and nothing is missing")
	}
	if todo.turnedRed {
		e.opts.Log.Error("nats is out of reach", slog.Any("error", e.health.ready()))
		e.health.lossPossible()
	}
	if todo.sever {
		e.opts.Log.Error("nats is out of reach: readers are sent to other nodes")
		e.sink.Sever()
	}
	if todo.move && e.conn.IsConnected() {
		e.opts.Log.Warn("trying the next nats server", slog.String("server", e.conn.ConnectedUrlRedacted()))
		_ = e.conn.ForceReconnect() // fails only if the connection is closed
	}
}
