//go:build !unix

package signals

import "os"

// harmless are the signals that must not end a service: there are none here.
var harmless = []os.Signal{}
