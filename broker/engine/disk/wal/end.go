package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"runtime/debug"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// endMagic is what each slot of the end file begins with.
const endMagic = "sluicee1"

const (
	endSlot  = 128         // bytes of one slot
	endBytes = 2 * endSlot // of the file
)

// journalEnd says, outside the journal, how far the journal goes. The journal alone cannot
// tell: one that was cut off between two records looks whole. The end file is written
// after each record and never synced, so it is valid for the boot that it names and for no
// other. It may lag behind the journal by the one record that the process ended after. It
// is never ahead of the journal.
//
// Writing it through the file system would cost a system call for each record, as much as a
// fifth of an append. So the file is mapped into memory where the system can do that, and
// the process's end leaves what was stored there in the page cache. A kill can interrupt a
// store half-way. The file therefore has two slots that are written in turn, and the newer
// valid one counts.
type journalEnd struct {
	record  uint64 // newest that was written
	durable uint64 // newest that had to be on the disk before it was acknowledged
	boot    string // the boot of the machine in which it was written
	turn    uint64 // counts the writes: of two slots, the one with the higher turn counts
}

func (n *journalEnd) append(b []byte) []byte {
	b = append(b, endMagic...)
	b = binary.LittleEndian.AppendUint64(b, n.record)
	b = binary.LittleEndian.AppendUint64(b, n.durable)
	boot := n.boot[:min(len(n.boot), maxBootBytes)]
	b = append(append(b, byte(len(boot))), boot...)
	b = append(b, make([]byte, endSlot-12-len(b))...)
	b = binary.LittleEndian.AppendUint64(b, n.turn)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli()))
}

// decodeEnd returns the newest of what the slots of an end file say. A file of an older
// version has one slot.
func decodeEnd(b []byte) (newest journalEnd, ok bool) {
	for ; len(b) >= endSlot; b = b[endSlot:] {
		if n, valid := decodeEndSlot(b[:endSlot]); valid && (!ok || n.turn > newest.turn) {
			newest, ok = n, true
		}
	}
	return newest, ok
}

func decodeEndSlot(b []byte) (n journalEnd, ok bool) {
	sum := binary.LittleEndian.Uint32(b[endSlot-4:])
	if string(b[:len(endMagic)]) != endMagic || crc32.Checksum(b[:endSlot-4], castagnoli()) != sum {
		return n, false
	}
	b = b[len(endMagic):]
	n.record, n.durable = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
	n.boot = string(b[17 : 17+min(int(b[16]), maxBootBytes)])
	n.turn = binary.LittleEndian.Uint64(b[endSlot-12-len(endMagic):])
	return n, true
}

// readEnd reads the end file. There is none in a directory of an older version, or if
// an operator removed it to give up what it says is missing.
func readEnd(fs vfs.FS, name string) (n journalEnd, there, ok bool, err error) {
	b, err := ReadFile(fs, name)
	if errors.Is(err, os.ErrNotExist) {
		return n, false, false, nil
	}
	if err != nil {
		return n, false, false, fmt.Errorf("disk: %w", err)
	}
	n, ok = decodeEnd(b)
	return n, true, ok, nil
}

// endWriter writes the end file. The owner of the journal owns it.
type endWriter struct {
	file   vfs.File
	mapped []byte // the file in memory; nil: it is written with WriteAt
	turn   uint64 // of the last write
	buf    []byte
}

// openEndWriter opens the end file of the given name for writing, and makes it if need be.
// Until the first write it says what it said before, or nothing.
func openEndWriter(fs vfs.FS, name string) (*endWriter, error) {
	was, _, valid, err := readEnd(fs, name)
	if err != nil {
		return nil, err
	}
	if !valid {
		was = journalEnd{} // of no boot: it says nothing
	}
	file, err := fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	w := &endWriter{file: file, turn: was.turn}
	// Each slot in a write of its own: if the process ends in between, the other one is valid.
	for range 2 {
		if err := w.write(was); err != nil {
			_ = file.Close()
			if !valid {
				_ = fs.Remove(name)
			}
			return nil, err
		}
	}
	w.mapped = mapFile(file, endBytes)
	return w, nil
}

func (w *endWriter) write(n journalEnd) error {
	w.turn++
	n.turn = w.turn
	w.buf = n.append(w.buf[:0])
	at := int(w.turn%2) * endSlot
	if w.mapped != nil {
		if storeMapped(w.mapped[at:], w.buf) {
			return nil
		}
		unmapFile(w.mapped)
		w.mapped = nil
	}
	_, err := w.file.WriteAt(w.buf, int64(at))
	return err
}

func (w *endWriter) close() error {
	unmapFile(w.mapped)
	w.mapped = nil
	return w.file.Close()
}

// storeMapped copies b into mapped memory. It reports false if the system has no page for
// it, because somebody cut the file off or the disk failed. Such a fault would otherwise end
// the process.
func storeMapped(to, b []byte) (ok bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() { ok = recover() == nil }()
	copy(to, b)
	return ok
}

// openEnd makes the journal write the end file from the next segment on, if that is
// possible. Without that file, a journal that was cut off between two records is not
// noticed. Nothing else is lost.
func (j *Journal) openEnd() {
	if j.Boot == "" || j.End == "" {
		return
	}
	if w, err := openEndWriter(j.FS, j.End); err == nil {
		j.end = w
	}
}

// mark writes how far the journal goes. If that fails, the file says less than it could, and
// nothing wrong.
func (j *Journal) mark() {
	if j.end == nil {
		return
	}
	_ = j.end.write(journalEnd{record: j.written.Load(), durable: j.durable, boot: j.Boot})
}
