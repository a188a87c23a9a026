// Package wal is the journal of the disk engine. After an unclean end it brings back what
// Pebble had not yet written to its tables. Pebble's own log is off: it can neither write
// without a sync nor fail without ending the process.
//
// A journal is a row of segments. A segment is a header and records. A record is an opaque
// payload with a number, one higher than the number of the record before it.
//
// What it guarantees:
//
//   - A record is handed to the system with one write before [Journal.Append] returns, so
//     the end of the process, however sudden, loses none.
//   - A record is on the disk, and outlives a power failure, when [Journal.Sync] returns, and
//     in any case after Config.SyncEvery.
//   - After a sync that failed, the journal takes no records until the owner has put
//     everything that matters elsewhere and begun another segment with [Journal.Next].
//   - [Replay] returns every record or says what is missing. A segment only goes when the
//     owner calls [Journal.Discard].
//
// The package does not know what is in a record, nor when a segment is no longer needed.
package wal
