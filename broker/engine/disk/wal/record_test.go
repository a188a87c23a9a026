package wal_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sluicehq/sluice/broker/engine/disk/wal"
)

// change changes a segment.
func change(t *testing.T, c wal.Config, segment int, with func([]byte) []byte) {
	t.Helper()
	name := c.FS.PathJoin(c.Dir, fmt.Sprintf("%016d.journal", segment))
	data, err := wal.ReadFile(c.FS, name)
	if err != nil {
		t.Fatal(err)
	}
	file, err := c.FS.Create(name, vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = file.Write(with(data))
	}
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
}

// A record has a part of its number. What follows a damaged one is found all the same, also
// where that part begins again.
func TestReplay_damagedWhereNumbersWrap(t *testing.T) {
	c := config(t, vfs.NewMem(), "boot")
	if err := wal.Create(c); err != nil {
		t.Fatal(err)
	}
	const before = 1<<24 - 3
	j := wal.New(c, before, 0)
	t.Cleanup(func() { _ = errors.Join(j.Finish(), j.Close()) })
	if err := j.Start(2); err != nil {
		t.Fatal(err)
	}
	texts := []string{"a", "bb", "ccc", "dddd", "eeeee", "ffffff"} // ccc has a number whose low part is 0
	at := make([]int64, len(texts)+1)
	for i, text := range texts {
		at[i] = j.Bytes()
		write(t, j, i == 0, text)
	}
	at[len(texts)] = j.Bytes()
	if took := at[2] - at[1]; took != 10+2 {
		t.Errorf("a record of two bytes takes %d", took)
	}
	for damaged := 1; damaged < len(texts)-1; damaged++ {
		for i := at[damaged]; i < at[damaged+1]; i++ {
			flip := func(b []byte) []byte { b[i] ^= 0x10; return b }
			change(t, c, 2, flip)
			if _, records, err := replayed(c, before+uint64(damaged)+1); err != nil || len(records) == 0 || records[0] != texts[damaged+1][0] {
				t.Errorf("byte %d of %s is damaged, and the database has it: %q, %v", i-at[damaged], texts[damaged], records, err)
			}
			if _, _, err := replayed(c, before+uint64(damaged)); !errors.Is(err, wal.ErrDamaged) {
				t.Errorf("byte %d of %s is damaged: %v", i-at[damaged], texts[damaged], err)
			}
			change(t, c, 2, flip)
		}
	}
}

// A segment of version 1 is read, and so are those after it.
func TestReplay_version1(t *testing.T) {
	c := config(t, vfs.NewMem(), "boot")
	if err := wal.Create(c); err != nil {
		t.Fatal(err)
	}
	var salt [8]byte
	binary.LittleEndian.PutUint64(salt[:], 77)
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := func(b []byte) uint32 { return crc32.Update(crc32.Checksum(salt[:], table), table, b) }
	segment := []byte("sluicej1")
	for _, n := range []uint64{2, 1, 77, 0} {
		segment = binary.LittleEndian.AppendUint64(segment, n)
	}
	segment = append(append(segment, 0, 4), "boot"...)
	segment = append(segment, make([]byte, 124-len(segment))...)
	segment = binary.LittleEndian.AppendUint32(segment, crc32.Checksum(segment, table))
	for i, text := range []string{"a", "bb"} {
		record := binary.LittleEndian.AppendUint32(make([]byte, 4), uint32(len(text)))
		record = binary.LittleEndian.AppendUint64(record, uint64(i+1))
		record = binary.LittleEndian.AppendUint64(record, 0)
		record = append(binary.LittleEndian.AppendUint32(record, sum(record[4:24])), text...)
		binary.LittleEndian.PutUint32(record, sum(record[4:]))
		segment = append(segment, record...)
	}
	file, err := c.FS.Create(c.FS.PathJoin(c.Dir, "0000000000000002.journal"), vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = file.Write(segment)
	}
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	j := wal.New(c, 2, 0)
	t.Cleanup(func() { _ = errors.Join(j.Finish(), j.Close()) })
	if err := j.Start(3); err != nil {
		t.Fatal(err)
	}
	write(t, j, false, "ccc")
	if _, records, err := replayed(c, 0); err != nil || records != "a bb ccc" {
		t.Errorf("%q, %v", records, err)
	}
	if _, records, err := replayed(c, 1); err != nil || records != "bb ccc" {
		t.Errorf("%q, %v", records, err)
	}
}
