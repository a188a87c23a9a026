package run

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluicehq/sluice/bench/load"
	"github.com/sluicehq/sluice/bench/peers"
)

// readyLimit bounds how long a server may take to answer its first publish.
const readyLimit = 10 * time.Second

// process is a server that runs.
type process struct {
	tree
	addr   netip.AddrPort
	dir    string
	output *os.File
	cmd    *exec.Cmd
	ended  chan struct{} // closed when the process has been waited for
}

// start runs a peer with further flags, and returns when it takes publishes.
func (r *Runner) start(ctx context.Context, peer peers.Peer, o peers.Options, flags []string) (_ *process, err error) {
	dir, err := os.MkdirTemp("", "bench-"+peer.Name+"-")
	if err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	p := &process{dir: dir, ended: make(chan struct{})}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w%s", peer.Name, err, p.tail())
			p.stop()
		}
	}()
	if p.addr, err = freeAddr(); err != nil {
		return nil, err
	}
	o.SluiceBin, o.Self, o.Node = r.options.SluiceBin, r.options.Self, r.options.Node
	if p.cmd, err = peer.Command(p.addr.String(), dir, o); err != nil {
		return nil, err
	}
	p.cmd.Args = append(p.cmd.Args, flags...)
	if r.cores.apart {
		onCore(p.cmd, r.options.Self, r.cores.server)
	}
	if err = p.launch(); err != nil {
		return nil, err
	}
	if err = p.ready(ctx, peer); err != nil {
		return nil, err
	}
	names := make([]string, o.Channels)
	for i := range names {
		names[i] = channel(i)
	}
	return p, p.create(ctx, peer, names...)
}

// launch starts the command of the process.
func (p *process) launch() (err error) {
	if p.output, err = os.Create(filepath.Join(p.dir, "output")); err != nil {
		return err
	}
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	// A group of its own: nginx's workers end with it.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err = p.cmd.Start(); err != nil {
		return err
	}
	p.root = p.cmd.Process.Pid
	go func() { // ends with the process
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	return nil
}

// ready waits until a publish is answered.
func (p *process) ready(ctx context.Context, peer peers.Peer) error {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	for {
		err := p.create(ctx, peer, readyChannel)
		if err == nil {
			err = publishOne(p.addr, peer)
		}
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return errors.New("run: the server ended at once")
		case <-ctx.Done():
			return fmt.Errorf("run: not ready: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// readyChannel is not measured.
const readyChannel = "ready"

// create makes channels, if the peer needs that.
func (p *process) create(ctx context.Context, peer peers.Peer, channels ...string) error {
	if peer.Create == nil {
		return nil
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", p.addr.String())
	if err != nil {
		return fmt.Errorf("run: %w", err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	for _, name := range channels {
		if _, err := conn.Write(peer.Create(name)); err != nil {
			return fmt.Errorf("run: %w", err)
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return fmt.Errorf("run: %w", err)
		}
		_, err = io.Copy(io.Discard, resp.Body)
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			return fmt.Errorf("run: %w", err)
		}
		if resp.StatusCode/100 != 2 {
			return fmt.Errorf("run: channel %s was not made: %s", name, resp.Status)
		}
	}
	return nil
}

// publishOne publishes to [readyChannel].
func publishOne(addr netip.AddrPort, peer peers.Peer) error {
	client, err := load.New(load.Config{Addr: addr, Clock: load.NewClock(), Channels: 1, Publishers: 1, Secure: peer.Secure})
	if err != nil {
		return err
	}
	defer client.Close()
	err = client.Publish(1, func(_ int, payload []byte) []byte { return peer.Publish(readyChannel, payload) })
	if err != nil {
		return err
	}
	return client.One(0)
}

// stop kills the processes and removes their folder: nothing in it is worth keeping, and
// an orderly end would only take longer.
func (p *process) stop() {
	if p.cmd != nil && p.cmd.Process != nil {
		_ = unix.Kill(-p.cmd.Process.Pid, unix.SIGKILL)
		<-p.ended
	}
	if p.output != nil {
		_ = p.output.Close()
	}
	_ = os.RemoveAll(p.dir)
}

// tail returns the end of what the server has written, for an error.
func (p *process) tail() string {
	text, err := os.ReadFile(filepath.Join(p.dir, "output"))
	if err != nil || len(text) == 0 {
		return ""
	}
	return "\n" + string(bytes.TrimSpace(text[max(0, len(text)-1000):]))
}

// freeAddr returns a loopback address that nothing listens on.
func freeAddr() (netip.AddrPort, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("run: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return netip.AddrPort{}, fmt.Errorf("run: %w", err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("run: %w", err)
	}
	inet, is := name.(*unix.SockaddrInet4)
	if !is {
		return netip.AddrPort{}, errors.New("run: not an IPv4 address")
	}
	return netip.ParseAddrPort("127.0.0.1:" + strconv.Itoa(inet.Port))
}
