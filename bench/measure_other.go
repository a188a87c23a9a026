//go:build !linux

package main

import (
	"context"
	"errors"
	"io"
)

// errLinux is of what is measured with epoll and /proc.
var errLinux = errors.New("bench: measuring needs Linux")

func measure(context.Context, []string, io.Writer, io.Writer) error { return errLinux }

func execOnCore([]string) error { return errLinux }
