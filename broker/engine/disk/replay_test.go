package disk_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sluicehq/sluice/broker/engine/disk"
	"github.com/sluicehq/sluice/schemas"
)

// journaled is a directory as a killed process left it. Some records of its journal are also
// in the tables, and some are not.
type journaled struct {
	files   map[string][]byte
	journal string // name of the newest segment
	applied int    // offset in it up to which the tables have everything
	ordinal int    // offset in it after which nothing is durable
	keys    map[string]schemas.ID
	ids     map[uint64]string
	highest uint64
}

// snapshot reads all files of a directory of fs.
func snapshot(t testing.TB, fs vfs.FS, dir string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		full := fs.PathJoin(dir, name)
		if info, err := fs.Stat(full); err != nil {
			continue // removed since it was listed, so it is not needed
		} else if info.IsDir() {
			maps.Copy(all, snapshot(t, fs, full))
			continue
		}
		file, err := fs.Open(full)
		if err != nil {
			continue
		}
		var b bytes.Buffer
		if _, err := b.ReadFrom(file); err != nil {
			t.Fatal(err)
		}
		file.Close()
		all[full] = b.Bytes()
	}
	return all
}

// restored returns a file system with the given files.
func restored(t testing.TB, files map[string][]byte) vfs.FS {
	t.Helper()
	fs := vfs.NewMem()
	for name, data := range files {
		if err := fs.MkdirAll(fs.PathDir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		file, err := fs.Create(name, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.Write(bytes.Clone(data)); err != nil {
			t.Fatal(err)
		}
		file.Close()
	}
	return fs
}

func (j *journaled) size() int { return len(j.files[j.journal]) }

// journalLeft returns a journaled directory. With split, the records that the tables lack are
// in a segment of their own.
func journalLeft(t testing.TB, split bool) *journaled {
	fs := vfs.NewMem()
	j := &journaled{keys: map[string]schemas.ID{}, ids: map[uint64]string{}}
	n := open(t, "d", disk.Options{}.On(fs, "boot"))
	publish := func(i int, durable bool) {
		data := fmt.Sprintf(`"%d %s"`, i, strings.Repeat("x", i*7%60))
		var id schemas.ID
		if durable {
			key := fmt.Sprint("key", i)
			id = n.once("a", key, data).ID
			j.keys[key] = id
		} else {
			id = schemas.ID{Epoch: n.origin.Epoch, Seq: n.put("a", data)}
		}
		j.ids[id.Seq], j.highest = data, id.Seq
	}
	look := func() {
		eventually(t, "quiet", func() error {
			if !n.Quiet() {
				return errors.New("tables are written")
			}
			return nil
		})
		j.files = snapshot(t, fs, "d")
		j.journal = ""
		for name := range j.files {
			if path.Ext(name) == ".journal" {
				j.journal = max(j.journal, name)
			}
		}
	}
	for i := range 12 {
		publish(i, i%3 > 0)
	}
	if err := n.Flush(); err != nil {
		t.Fatal(err)
	}
	if split {
		// Killed and restarted. The older segment stays until the tables are written.
		look()
		n.close()
		fs = restored(t, j.files).(*vfs.MemFS)
		n = open(t, "d", disk.Options{}.On(fs, "boot"))
	}
	look()
	j.applied = j.size()
	for i := range 12 {
		publish(20+i, i%3 > 0)
	}
	look()
	j.ordinal = j.size()
	for i := range 3 {
		publish(40+i, false)
	}
	look()
	n.close()
	return j
}

// check starts an engine with the files and checks that it has everything that was
// acknowledged. It returns the error of the start, which must name the file.
func (j *journaled) check(t *testing.T, what string, files map[string][]byte, file string) (log string, err error) {
	t.Helper()
	var text bytes.Buffer
	opts := disk.Options{Log: slog.New(slog.NewTextHandler(&text, nil))}.On(restored(t, files), "boot")
	e, err := disk.Open("d", opts)
	if err != nil {
		if !strings.Contains(err.Error(), path.Base(file)) {
			t.Errorf("%s: the error does not name %s: %v", what, file, err)
		}
		return text.String(), err
	}
	n := &node{Engine: e, t: t}
	if n.origin, err = e.StartWith(&n.sink); err != nil {
		t.Fatal(err)
	}
	for key, id := range j.keys {
		if r := n.once("a", key, "again"); !r.Duplicate || r.ID != id {
			t.Errorf("%s: %s is published again: %+v, first %v", what, key, r, id)
		}
	}
	have := map[uint64]string{}
	for _, m := range n.load("a").Messages {
		have[m.ID.Seq] = string(m.Data)
	}
	for seq, data := range j.ids {
		if have[seq] != data && seq > n.origin.Lost {
			t.Errorf("%s: message %d is %q, and is not lost: want %q", what, seq, have[seq], data)
		}
	}
	if seq := n.put("a", "next"); seq <= j.highest {
		t.Errorf("%s: position %d is given a second time, up to %d were", what, seq, j.highest)
	}
	if n.origin.Lost > 0 && !strings.Contains(text.String(), path.Base(file)) {
		t.Errorf("%s: the log does not say what is lost: %s", what, text.String())
	}
	n.close()
	return text.String(), nil
}

// with returns the files with one file's content replaced.
func (j *journaled) with(name string, data []byte) map[string][]byte {
	files := maps.Clone(j.files)
	files[name] = data
	return files
}

// sampled calls fn for every step-th number below n, many concurrently, because a start that
// fails takes a while to close its database.
func sampled(n, step int, fn func(at int)) {
	var next atomic.Int64
	spread(32, (n+step-1)/step, func(int) error {
		fn(int(next.Add(1)-1) * step)
		return nil
	})
}

func kinds() map[string]bool {
	return map[string]bool{"one segment": false, "what the tables lack in a segment of its own": true}
}

// A flipped bit anywhere in the newest segment either damages a record that the tables have,
// which is skipped, or makes the start fail.
func TestOpen_flippedBit(t *testing.T) {
	if testing.Short() {
		t.Skip("damage in many places, left out with -short")
	}
	for name, split := range kinds() {
		t.Run(name, func(t *testing.T) {
			j := journalLeft(t, split)
			whole := j.files[j.journal]
			sampled(len(whole), 7, func(at int) {
				damaged := bytes.Clone(whole)
				damaged[at] ^= 1 << (at % 8)
				what := fmt.Sprintf("bit %d of byte %d of %d, applied up to %d", at%8, at, len(whole), j.applied)
				_, err := j.check(t, what, j.with(j.journal, damaged), j.journal)
				if needed := at < 128 || at >= j.applied; needed != (err != nil) {
					t.Errorf("%s: err = %v", what, err)
				}
			})
		})
	}
}

// If the end of the journal is cut off or overwritten with zeros in the same boot, the loss is
// announced and no position is handed out twice. If something durable is missing, the start
// fails unless an operator accepts the loss.
func TestOpen_journalCutOff(t *testing.T) {
	if testing.Short() {
		t.Skip("damage in many places, left out with -short")
	}
	for name, split := range kinds() {
		t.Run(name, func(t *testing.T) {
			j := journalLeft(t, split)
			whole := j.files[j.journal]
			sampled(len(whole), 11, func(at int) {
				cut := whole[:at]
				zeros := append(bytes.Clone(cut), make([]byte, len(whole)-at)...)
				for how, data := range map[string][]byte{"cut": cut, "zeros": zeros} {
					what := fmt.Sprintf("%s at %d of %d", how, at, len(whole))
					_, err := j.check(t, what, j.with(j.journal, data), j.journal)
					// A few zeros may belong to the record itself, which is then damaged and not cut.
					few := how == "zeros" && at > len(whole)-30
					if (err != nil) != (at < j.ordinal) && !few {
						t.Errorf("%s, nothing durable from %d on: err = %v", what, j.ordinal, err)
					}
				}
			})
			files := maps.Clone(j.files)
			delete(files, j.journal)
			if _, err := j.check(t, "segment removed", files, "journal"); err == nil {
				t.Error("a segment was removed, and nobody misses it")
			}
		})
	}
}

// The file that says how far the journal goes is no weak point itself. One of its two slots may
// be damaged, as a kill can do. Without the file, anything that may be missing counts as lost.
func TestOpen_endFile(t *testing.T) {
	j := journalLeft(t, false)
	const end = "d/END"
	slot := len(j.files[end]) / 2
	sampled(slot, 1, func(at int) {
		for name, places := range map[string][]int{"one": {at}, "the other": {slot + at}, "both": {at, slot + at}} {
			damaged := bytes.Clone(j.files[end])
			for _, place := range places {
				damaged[place] ^= 1 << (at % 8)
			}
			_, err := j.check(t, fmt.Sprintf("byte %d of %s", at, name), j.with(end, damaged), end)
			if (err != nil) != (len(places) == 2) {
				t.Errorf("byte %d of %s: err = %v", at, name, err)
			}
		}
	})
	j.keys = nil // the operator accepts their loss
	files := j.with(j.journal, j.files[j.journal][:j.applied])
	delete(files, end)
	log, err := j.check(t, "removed", files, j.journal)
	if err != nil || !strings.Contains(log, "as after a power failure") {
		t.Errorf("err = %v, log %s", err, log)
	}
}

// All records that the tables have may be damaged at the same time.
func TestOpen_appliedRecordsDamaged(t *testing.T) {
	j := journalLeft(t, false)
	damaged := bytes.Clone(j.files[j.journal])
	for at := 140; at < j.applied; at += 40 {
		damaged[at] ^= 0x10
	}
	log, err := j.check(t, "holes", j.with(j.journal, damaged), j.journal)
	if err != nil || !strings.Contains(log, "skipped") || !strings.Contains(log, path.Base(j.journal)) {
		t.Errorf("err = %v, log %s", err, log)
	}
}

// The engine works without the end file where it cannot be written.
func TestOpen_noEndFile(t *testing.T) {
	f := &faulty{FS: vfs.NewMem()}
	opts := disk.Options{}.On(f, "boot")
	f.set(func(f *faulty) { f.write = failing(os.ErrPermission, "END") })
	n := open(t, "d", opts)
	n.put("a", "1")
	killed := restored(t, snapshot(t, f.FS, "d"))
	m := open(t, "d", disk.Options{}.On(killed, "boot"))
	m.want("a", "lost 0: 1=1")
	if m.origin.Lost != 0 {
		t.Errorf("origin %+v", m.origin)
	}
}

// Truncating the end file, which is mapped into memory, does not end the process. The file is
// written again.
func TestEngine_Append_endFileTruncated(t *testing.T) {
	dir := t.TempDir()
	n := open(t, dir, thisBoot())
	n.put("a", "1")
	if err := os.Truncate(filepath.Join(dir, "END"), 0); err != nil {
		t.Fatal(err)
	}
	n.put("a", "2")
	n.put("a", "3")
	copied := image(t, dir)
	m := open(t, copied, thisBoot())
	m.want("a", "lost 0: 1=1 2=2 3=3")
	if m.origin.Lost != 0 {
		t.Errorf("origin %+v", m.origin)
	}
	m.close()
	cut := image(t, dir)
	if err := os.Truncate(journalFile(t, cut), journalSize(t, cut)-1); err != nil {
		t.Fatal(err)
	}
	if m = open(t, cut, thisBoot()); m.origin.Lost == 0 {
		t.Error("the journal was cut off, and nobody noticed")
	}
}
