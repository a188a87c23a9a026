//go:build !unix

package hangup

import "os"

// Wait returns false: this system does not tell.
func Wait(*os.File) bool { return false }
