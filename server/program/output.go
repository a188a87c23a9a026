package program

import (
	"context"
	"io"
	"os"
	"time"

	"github.com/sluicehq/sluice/server/program/hangup"
)

// lastWord is how long a running write may take when the program is told to end.
const lastWord = time.Second

// interruptible is a writer for the output of a command. It waits for its reader, but
// not after ctx has ended: a stuck reader must not keep the command from ending.
type interruptible struct {
	ctx context.Context
	w   io.Writer
}

// Write implements [io.Writer]. An abandoned write goes on in a goroutine, which ends
// with the program if the reader stays stuck.
func (i *interruptible) Write(p []byte) (int, error) {
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	go func(p []byte) {
		n, err := i.w.Write(p)
		done <- result{n, err}
	}(append([]byte(nil), p...))
	select {
	case got := <-done:
		return got.n, got.err
	case <-i.ctx.Done():
	}
	timer := time.NewTimer(lastWord)
	defer timer.Stop()
	select {
	case got := <-done:
		return got.n, got.err
	case <-timer.C:
		return 0, i.ctx.Err()
	}
}

// endWithReader ends the program once nobody reads out any more, as a write to it would,
// which may never come.
func endWithReader(out io.Writer) {
	file, ok := out.(*os.File)
	if !ok {
		return
	}
	go func() { // ends with the program
		if hangup.Wait(file) {
			file.Write([]byte{'\n'}) //nolint:errcheck // it raises SIGPIPE, which ends the program unless it is ignored
			os.Exit(exitFault)
		}
	}()
}
