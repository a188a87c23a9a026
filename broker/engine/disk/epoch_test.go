package disk_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// The file NEW-EPOCH makes the next start begin a new epoch, once.
func TestOpen_newEpoch(t *testing.T) {
	dir := t.TempDir()
	n := open(t, dir, thisBoot())
	n.put("a", "1")
	first := n.once("a", "key", "2")
	was := n.origin
	killed := image(t, dir)
	n.close()
	for name, dir := range map[string]string{"clean": dir, "killed": killed} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(dir, "NEW-EPOCH")
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			n := open(t, dir, thisBoot())
			if n.origin.Epoch == was.Epoch || n.origin.Epoch == 0 || n.origin.Head != 2 || n.origin.Lost != 0 {
				t.Errorf("origin %+v, was %+v", n.origin, was)
			}
			n.want("a", "lost 0: 1=1 2=2")
			r := n.once("a", "key", "2")
			if !r.Duplicate || r.ID.Epoch != n.origin.Epoch || r.ID.Seq != first.ID.Seq {
				t.Errorf("a retry: %+v", r)
			}
			if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the file is still there: %v", err)
			}
			next := n.origin.Epoch
			again := open(t, image(t, dir), thisBoot())
			if again.origin.Epoch != next {
				t.Errorf("after a kill the epoch is %d, want %d", again.origin.Epoch, next)
			}
			again.want("a", "lost 0: 1=1 2=2")
			n.close()
		})
	}
}
