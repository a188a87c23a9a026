//go:build unix

package signals

import (
	"os"
	"syscall"
)

// harmless are the signals that must not end a service. When one of them stands for a
// failed write, that write returns an error too.
var harmless = []os.Signal{
	syscall.SIGPIPE,                  // nobody reads the log
	syscall.SIGXFSZ,                  // a file, perhaps the log, has reached its size limit
	syscall.SIGUSR1, syscall.SIGUSR2, // ask other programs to reopen their logs
}
