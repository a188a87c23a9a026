package disk_test

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/sluicehq/sluice/broker/engine/disk"
	"github.com/sluicehq/sluice/schemas"
)

// Messages that were stored before they had an offset and a subject are read.
func TestDecode_version1(t *testing.T) {
	for kind, want := range map[byte]schemas.Message{
		1: {Kind: schemas.KindData},
		4: {Kind: schemas.KindChunk, Offset: -1},
	} {
		want.ID, want.CreatedAt = schemas.ID{Epoch: 3, Seq: 5}, 6
		want.Channel, want.Topic, want.RunID, want.StreamID, want.Data = "a", "x", "r", "st", []byte("1")
		got, err := disk.DecodeMessage([]byte{1, kind, 5, 6, 1, 'x', 1, 'r', 2, 's', 't', '1'}, 3, "a")
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
}

// A directory of an older format gets the present one, but only when all of it could be
// read: otherwise the older program may still be needed.
func TestOpen_olderFormat(t *testing.T) {
	dir := t.TempDir()
	n := open(t, dir, thisBoot())
	n.put("a", "1")
	n.close()
	format := func(dir string) string {
		text, err := os.ReadFile(filepath.Join(dir, "FORMAT"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	present := format(dir)
	write(dir, "FORMAT", "sluice 1\n")
	damaged := image(t, dir)
	if err := os.RemoveAll(filepath.Join(damaged, "journal")); err != nil {
		t.Fatal(err)
	}
	if e, err := disk.Open(damaged, thisBoot()); err == nil {
		e.Close()
		t.Error("the damaged directory is opened")
	}
	if got := format(damaged); got != "sluice 1\n" {
		t.Errorf("a directory that cannot be read has become %q", got)
	}
	open(t, dir, thisBoot()).want("a", "lost 0: 1=1")
	if got := format(dir); got != present || got == "sluice 1\n" {
		t.Errorf("the format is %q, that of a new directory %q", got, present)
	}
}
