package netpoll

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
)

// Yielder lets everybody else run. It works on all systems, and is for one goroutine.
// If nil, it can still let those run that wait for no socket.
type Yielder struct {
	read, write *os.File // the ends of a pipe
	raw         syscall.RawConn
}

// NewYielder returns a yielder. The caller must close it. It may fail because no
// descriptor is free. It returns nil where Go cannot wait for a pipe.
func NewYielder() (*Yielder, error) {
	if runtime.GOOS == "windows" || runtime.GOOS == "plan9" {
		return nil, nil
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("netpoll: pipe: %w", err)
	}
	y := &Yielder{read: read, write: write}
	if y.raw, err = read.SyscallConn(); err != nil {
		y.Close()
		return nil, fmt.Errorf("netpoll: pipe: %w", err)
	}
	return y, nil
}

// Yield lets every other goroutine run that has something to do, including those
// that wait for a socket. Go polls the network only when nothing else can run. On
// one core, a busy loop never lets that happen, nor do goroutines that are woken in
// masses. So Yield waits for a descriptor as well: one that is ready already.
func (y *Yielder) Yield() {
	if y == nil {
		runtime.Gosched()
		return
	}
	var b [1]byte
	ready := false
	_ = y.raw.Read(func(uintptr) bool {
		if ready {
			return true
		}
		_, err := y.write.Write(b[:]) // not earlier: what is reported before the wait begins is forgotten
		ready = true
		return err != nil
	})
	_, _ = y.read.Read(b[:]) // it is there
}

// Close frees the descriptors.
func (y *Yielder) Close() {
	if y != nil {
		_ = y.read.Close()
		_ = y.write.Close()
	}
}
