//go:build !linux

package disk_test

import "errors"

func mountTmpfs(string, int) error { return errors.ErrUnsupported }

func unmount(string) {}
