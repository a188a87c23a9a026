// Package disk is the engine of a single server: it stores messages, idempotency keys,
// records of texts, run statuses and cluster state in a directory.
//
// It guarantees that
//
//   - what was acknowledged survives the end of the process, however that ends;
//   - a durable publish, the record of a text, a change of a run, a deletion and cluster state
//     also survive a power failure; an ordinary message does after [Options.SyncEvery];
//   - a position is never handed out twice;
//   - a loss is never hidden, neither one by retention nor one by a power failure.
//
// All changes go through one goroutine, the committer (committer.go). What it commits goes to
// the journal (package wal) and to Pebble, which sees the disk through package faultfs.
// repair.go replaces what has failed, and relief.go makes a full disk usable again.
//
// The package does not know how messages reach readers, nor what cluster state means.
package disk
