package engines

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	natsio "github.com/nats-io/nats.go"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine/nats"
)

// natsDelivery compares the way of a message from one node to a reader at another with
// the way through NATS alone, and publishes with those of bare JetStream.
func natsDelivery(ctx context.Context, o Options) (_ Table, err error) {
	t := Table{
		Title: "Through NATS",
		Note: "One nats-server with JetStream runs on the same machine. Latency is the median time from the call of publish " +
			"until a reader on another connection has the message, one message after the other. Bare publish-subscribe is " +
			"NATS alone, which stores nothing. Sluice stores each message before it is delivered (`--pace 0`).",
	}
	if o.NATSServer == "" {
		return Table{}, nil
	}
	url, stop, err := startServer(ctx, o)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	t.Figures, err = compare(ctx, o, "µs, publish to reader", true,
		side{"bare NATS publish-subscribe", func(ctx context.Context, took time.Duration) (float64, error) {
			return bareDelivery(ctx, url, took)
		}},
		side{"bare JetStream publish, acknowledged", func(ctx context.Context, took time.Duration) (float64, error) {
			return bareStored(ctx, url, took)
		}},
		side{"Sluice, to a reader at another node", func(ctx context.Context, took time.Duration) (float64, error) {
			return nodeToNode(ctx, url, took)
		}})
	return t, err
}

// startServer runs a nats-server until stop is called.
func startServer(ctx context.Context, o Options) (url string, stop func() error, err error) {
	dir, err := os.MkdirTemp(o.Dir, "nats-")
	if err != nil {
		return "", nil, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return "", nil, err
	}
	server := exec.CommandContext(ctx, o.NATSServer, "-js", "-sd", filepath.Join(dir, "store"), "-a", "127.0.0.1", "-p", fmt.Sprint(port)) //nolint:gosec // the caller names the program
	if err := server.Start(); err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("nats://127.0.0.1:%d", port), func() error {
		_ = server.Process.Kill()
		_ = server.Wait() // it was killed
		return os.RemoveAll(dir)
	}, nil
}

// median calls once, which returns how long one message took, for a while.
func median(ctx context.Context, took time.Duration, once func() (time.Duration, error)) (float64, error) {
	var all []time.Duration
	for began := time.Now(); time.Since(began) < took && ctx.Err() == nil; {
		d, err := once()
		if err != nil {
			return 0, err
		}
		all = append(all, d)
	}
	if len(all) == 0 {
		return 0, ctx.Err()
	}
	slices.Sort(all)
	return float64(all[len(all)/2].Nanoseconds()) / 1000, nil
}

func dial(url string) (*natsio.Conn, error) {
	return natsio.Connect(url, natsio.RetryOnFailedConnect(true), natsio.MaxReconnects(100), natsio.ReconnectWait(50*time.Millisecond))
}

func bareDelivery(ctx context.Context, url string, took time.Duration) (float64, error) {
	from, err := dial(url)
	if err != nil {
		return 0, err
	}
	defer from.Close()
	to, err := dial(url)
	if err != nil {
		return 0, err
	}
	defer to.Close()
	sub, err := to.SubscribeSync("bare.latency")
	if err != nil {
		return 0, err
	}
	if err := to.FlushTimeout(5 * time.Second); err != nil {
		return 0, err
	}
	return median(ctx, took, func() (time.Duration, error) {
		began := time.Now()
		if err := from.Publish("bare.latency", []byte(data)); err != nil {
			return 0, err
		}
		_, err := sub.NextMsg(5 * time.Second)
		return time.Since(began), err
	})
}

func bareStored(ctx context.Context, url string, took time.Duration) (float64, error) {
	conn, err := dial(url)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	js, err := conn.JetStream()
	if err != nil {
		return 0, err
	}
	if _, err := js.AddStream(&natsio.StreamConfig{Name: "BARE", Subjects: []string{"stored.>"}}); err != nil && !errors.Is(err, natsio.ErrStreamNameAlreadyInUse) {
		return 0, err
	}
	return median(ctx, took, func() (time.Duration, error) {
		began := time.Now()
		_, err := js.Publish("stored.latency", []byte(data))
		return time.Since(began), err
	})
}

// openNATS starts a node.
func openNATS(ctx context.Context, url string) (*broker.Broker, func() error, error) {
	e, err := nats.Open(ctx, nats.Options{URLs: []string{url}})
	if err != nil {
		return nil, nil, err
	}
	b, err := broker.New(broker.Options{Engine: e, Pace: -1}) // a pass waits for nothing that may gather
	if err != nil {
		return nil, nil, errors.Join(err, e.Close())
	}
	return b, func() error { return errors.Join(b.Close(), e.Close()) }, nil
}

func nodeToNode(ctx context.Context, url string, took time.Duration) (_ float64, err error) {
	var nodes [2]*broker.Broker
	for i := range nodes {
		b, closeAll, err := openNATS(ctx, url)
		if err != nil {
			return 0, err
		}
		defer closeAll() //nolint:errcheck // what was to be measured has been
		nodes[i] = b
	}
	s, err := nodes[1].Subscribe(ctx, broker.Subscription{Channels: []broker.Selector{{Channel: "latency"}}})
	if err != nil {
		return 0, err
	}
	defer s.Close()
	var batch broker.Batch
	if err := s.Next(ctx, &batch); err != nil { // $open
		return 0, err
	}
	got := make(chan struct{}, 1024)
	reading, stop := context.WithCancel(ctx)
	defer stop()
	go func() { // ends with reading
		var batch broker.Batch
		for s.Next(reading, &batch) == nil {
			for range batch.Messages {
				got <- struct{}{}
			}
		}
		close(got)
	}()
	defer func() {
		stop()
		for range got { // until the goroutine has let go of s
		}
	}()
	return median(ctx, took, func() (time.Duration, error) {
		began := time.Now()
		if _, err := nodes[0].Publish(ctx, broker.Publication{Channel: "latency", Topic: "status", Data: []byte(data)}); err != nil {
			return 0, err
		}
		<-got
		return time.Since(began), nil
	})
}
