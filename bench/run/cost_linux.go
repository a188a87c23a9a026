package run

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/sluicehq/sluice/bench/load"
	"github.com/sluicehq/sluice/bench/report"
)

// costPerSecond is how many pieces a second a paced text gets: a minute for 7,500.
const costPerSecond = 125

// errNoNATS is of a case for which no nats-server was named.
var errNoNATS = errors.New("run: -nats-server names no nats-server")

// keepTexts prepares what the engine of the plan needs until stop is called, and returns the
// flags that choose the engine.
func (t *trial) keepTexts() (stop func(), flags []string, err error) {
	dir, err := os.MkdirTemp("", "bench-texts-")
	if err != nil {
		return nil, nil, fmt.Errorf("run: %w", err)
	}
	remove := func() { _ = os.RemoveAll(dir) } // nothing in it is worth keeping
	switch t.plan.engine {
	case onDisk:
		return remove, []string{"--data", filepath.Join(dir, "data")}, nil
	case inNATS:
		if t.nats, err = startNATS(t.runner.options.NATSServer, dir); err != nil {
			remove()
			return nil, nil, err
		}
		return func() { t.nats.stop(); remove() }, []string{"--nats", "nats://" + t.nats.addr.String()}, nil
	case inMemory:
	}
	return remove, nil, nil
}

// startNATS runs a nats-server that stores in dir, and returns when it accepts connections.
func startNATS(program, dir string) (p *process, err error) {
	if program == "" {
		return nil, errNoNATS
	}
	p = &process{dir: dir, ended: make(chan struct{})}
	if p.addr, err = freeAddr(); err != nil {
		return nil, err
	}
	p.cmd = exec.Command(program, "-js", "-sd", filepath.Join(dir, "store"), "-a", "127.0.0.1", "-p", fmt.Sprint(p.addr.Port())) //nolint:gosec,noctx // the user names the program; stop ends it
	if err := p.launch(); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(readyLimit); ; {
		conn, err := new(net.Dialer).DialContext(context.Background(), "tcp", p.addr.String())
		if err == nil {
			return p, conn.Close()
		}
		if time.Now().After(deadline) {
			p.stop()
			return nil, fmt.Errorf("run: nats-server is not ready: %w", err)
		}
	}
}

// textCost publishes texts to nobody, and tells what it costs to keep them.
func (t *trial) textCost() (map[string]float64, error) {
	if err := t.addTexts(load.AppendWord); err != nil {
		return nil, err
	}
	before, err := t.written()
	if err != nil {
		return nil, err
	}
	w, err := t.measure(func() error { return t.sendTexts() })
	if err != nil {
		return nil, err
	}
	if err := t.client.Run(t.plan.rest); err != nil {
		return nil, err
	}
	now, err := t.server.memory()
	if err != nil {
		return nil, err
	}
	after, err := t.written()
	if err != nil {
		return nil, err
	}
	bytes := float64(t.plan.channels * t.plan.pieces * load.TokenBytes)
	metrics := map[string]float64{
		report.RSSPerByte:     float64(now.rss-t.before.rss) / bytes,
		report.PiecesPerChunk: float64(t.plan.channels*t.plan.pieces) / float64(w.counts.Chunks),
		report.CPUPerPiece:    float64(w.server.Microseconds()) / float64(t.plan.channels*t.plan.pieces),
		report.ServerCPU:      100 * w.server.Seconds() / w.wall.Seconds(),
		report.PublishTook:    w.wall.Seconds(),
	}
	if t.plan.engine != inMemory {
		metrics[report.DiskPerByte] = float64(after.disk-before.disk) / bytes
		metrics[report.WrittenPerByte] = float64(after.calls-before.calls) / bytes
	}
	return metrics, nil
}

// sendTexts publishes the texts as fast as the plan says, and ends them.
func (t *trial) sendTexts() error {
	if t.plan.perSecond == 0 {
		if err := t.client.SendTexts(t.plan.pieces); err != nil {
			return err
		}
	} else if err := t.client.StartTexts(t.plan.perSecond, t.plan.pieces); err != nil {
		return err
	}
	if err := t.client.Reached(t.plan.pieces, textLimit); err != nil {
		return err
	}
	return t.client.EndTexts(textLimit)
}

// written returns what was written for the texts so far: by Sluice, or by the nats-server
// that it keeps them with.
func (t *trial) written() (written, error) {
	if t.nats != nil {
		return t.nats.written()
	}
	return t.server.written()
}
