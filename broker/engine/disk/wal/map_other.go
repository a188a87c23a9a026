//go:build !linux && !darwin

package wal

import "github.com/cockroachdb/pebble/v2/vfs"

func mapFile(vfs.File, int) []byte { return nil }

func unmapFile([]byte) {}
