package disk_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/disk"
	"github.com/sluicehq/sluice/broker/engine/enginetest"
	"github.com/sluicehq/sluice/schemas"
)

func thisBoot() disk.Options { return disk.Options{}.On(vfs.Default, "this boot") }

// filled returns the contents of a directory after a clean end, and after a kill.
func filled(t testing.TB) (clean, killed string) {
	dir := t.TempDir()
	n := open(t, dir, thisBoot())
	for i := range 200 {
		n.put(fmt.Sprint("c", i%10), `"`+strings.Repeat(fmt.Sprint(i), 50)+`"`)
	}
	n.close()
	n = open(t, dir, thisBoot())
	for i := range 200 {
		n.put(fmt.Sprint("c", i%10), `"`+strings.Repeat(fmt.Sprint(i), 50)+`"`)
	}
	killed = image(t, dir)
	n.close()
	return dir, killed
}

// Changing one byte of any file either goes unnoticed, with everything still readable, or
// causes an error that says what is damaged.
func TestOpen_damaged(t *testing.T) {
	clean, killed := filled(t)
	for name, dir := range map[string]string{"clean": clean, "killed": killed} {
		files, err := filepath.Glob(dir + "/*/*")
		if err != nil {
			t.Fatal(err)
		}
		refused := map[string]int{}
		for _, path := range append(files, dir+"/FORMAT") {
			file, _ := filepath.Rel(dir, path)
			info, err := os.Stat(path)
			if err != nil || info.Size() == 0 {
				continue
			}
			const places = 9
			for i := range places {
				at := info.Size() * int64(i) / places
				if err := damaged(t, dir, file, at); err != nil {
					refused[filepath.Ext(file)+filepath.Base(filepath.Dir(file))]++
				}
			}
		}
		t.Log(name, refused)
		if refused[".ssttables"] == 0 || name == "killed" && refused[".journaljournal"] < 8 {
			t.Errorf("%s: damage was noticed in %v", name, refused)
		}
	}
}

// damaged flips one byte and returns the resulting error. It fails the test if data is missing
// without an error.
func damaged(t *testing.T, dir, file string, at int64) error {
	t.Helper()
	copied := image(t, dir)
	path := filepath.Join(copied, file)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[at] ^= 0x55
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	err = whole(t, copied, fmt.Sprintf("%s is damaged at %d", file, at))
	if err == nil {
		return nil
	}
	base := filepath.Base(file)
	for _, part := range []string{strings.TrimSuffix(base, filepath.Ext(base)), "tables", "journal"} {
		if strings.Contains(err.Error(), part) {
			return err
		}
	}
	t.Errorf("%s at %d: the error does not say where: %v", file, at, err)
	return err
}

// whole opens a directory made by filled and reads everything. It returns the first error,
// and fails the test if data is missing without one.
func whole(t *testing.T, dir, what string) error {
	t.Helper()
	e, err := disk.Open(dir, thisBoot())
	if err != nil {
		return err
	}
	defer e.Close()
	var s sink
	if _, err := e.StartWith(&s); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		kept, err := e.Load(t.Context(), schemas.Channel(fmt.Sprint("c", i)))
		if err != nil {
			if !errors.Is(err, engine.ErrUnavailable) {
				t.Errorf("%s: %v", what, err)
			}
			return err
		}
		if len(kept.Messages) != 40 {
			t.Errorf("%s: c%d has %d of 40 messages, and nobody says so", what, i, len(kept.Messages))
		}
		for j, m := range kept.Messages {
			if j > 0 && m.ID.Seq <= kept.Messages[j-1].ID.Seq || !strings.HasPrefix(string(m.Data), `"`) {
				t.Errorf("%s: %v", what, m)
			}
		}
	}
	return nil
}

// Removing any file that is needed is noticed.
func TestOpen_missingFile(t *testing.T) {
	clean, killed := filled(t)
	for name, dir := range map[string]string{"clean": clean, "killed": killed} {
		for pattern, needed := range map[string]int{"journal/*": 1, "tables/MANIFEST*": 1, "tables/marker.manifest*": 1, "tables/*.sst": 1} {
			files, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil || len(files) == 0 {
				t.Fatal(pattern, files, err)
			}
			missed := 0
			for _, path := range files {
				file, _ := filepath.Rel(dir, path)
				copied := image(t, dir)
				if err := os.Remove(filepath.Join(copied, file)); err != nil {
					t.Fatal(err)
				}
				if err := whole(t, copied, file+" is missing"); err != nil {
					missed++
				}
			}
			if missed < needed {
				t.Errorf("%s: nobody misses any of %v", name, files)
			}
		}
	}
}

// A record that was only partly written when the process ended is not damage: nobody was told
// that it was published.
func TestOpen_tornTail(t *testing.T) {
	dir := t.TempDir()
	n := open(t, dir, thisBoot())
	n.put("a", "1")
	two := image(t, dir)
	size := journalSize(t, two)
	n.put("a", "2")
	whole := journalSize(t, image(t, dir))
	for cut := size; cut < whole; cut += max(1, (whole-size)/20) {
		copied := image(t, dir)
		if err := os.Truncate(journalFile(t, copied), cut); err != nil {
			t.Fatal(err)
		}
		// The end file only counts a record that was completely written.
		end, err := os.ReadFile(filepath.Join(two, "END"))
		if err != nil {
			t.Fatal(err)
		}
		write(copied, "END", string(end))
		m := open(t, copied, thisBoot())
		m.want("a", "lost 0: 1=1")
		if m.origin.Lost != 0 {
			t.Errorf("cut at %d: origin %+v", cut, m.origin)
		}
		m.put("a", "3")
		m.close()
		m = open(t, copied, thisBoot())
		m.want("a", "lost 0: 1=1 2=3")
		m.close()
	}
}

func journalFile(t testing.TB, dir string) string {
	t.Helper()
	files, err := filepath.Glob(dir + "/journal/*")
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	return files[0]
}

func journalSize(t testing.TB, dir string) int64 {
	t.Helper()
	info, err := os.Stat(journalFile(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// The error for a value that cannot be decoded names its key.
func TestEngine_damagedValue(t *testing.T) {
	n := open(t, t.TempDir(), disk.Options{})
	seq := n.put("a", "1")
	n.put("b", "1")
	text := engine.TextName{Channel: "a", Topic: "t", StreamID: "s"}
	for _, tt := range []struct {
		name string
		key  []byte
		use  func() error
	}{
		{"message", disk.MessageKey("a", seq), func() error { _, err := n.Load(t.Context(), "a"); return err }},
		{"channel", disk.ChannelKey("b"), func() error { _, err := n.Load(t.Context(), "b"); return err }},
		{"names", disk.ChannelKey("b"), func() error { _, err := enginetest.Names(n.List(t.Context(), "", "", 9)); return err }},
		{"record", disk.RecordKey(text), func() error { _, _, err := n.Text(t.Context(), text); return err }},
		{"fence", disk.RecordKey(text), func() error { _, err := n.SetText(t.Context(), text, 0, engine.Text{}); return err }},
		{"matching", disk.ChannelKey("b"), func() error { _, err := n.Matching(t.Context(), "*", 0, 9); return err }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := n.Set(tt.key, []byte{9, 9}); err != nil {
				t.Fatal(err)
			}
			err := tt.use()
			if !errors.Is(err, engine.ErrUnavailable) || !strings.Contains(err.Error(), fmt.Sprintf("%q", strings.ToValidUTF8(string(tt.key), "\uFFFD"))) {
				t.Errorf("err = %v", err)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{1, 1, 5, 5, 1, 'x', 0, 0, '1'})
	f.Add([]byte{2, 4, 5, 5, 14, 1, 'x', 0, 1, 's', 2, 'm', 'e', '1'})
	f.Add([]byte{1, 7, 9, 1, 2, 1, 7, 7, 9, 2, 3, 4})
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(_ *testing.T, b []byte) { disk.Decode(b) })
}

func FuzzRoundTrip(f *testing.F) {
	f.Add(uint64(7), int64(1234), "t", "r", "s", int64(12), "me", []byte("1"), byte(3))
	f.Fuzz(func(t *testing.T, seq uint64, at int64, topic, run, stream string, offset int64, sub string, data []byte, kind byte) {
		kinds := []schemas.Kind{schemas.KindData, schemas.KindRun, schemas.KindStreamStart, schemas.KindChunk, schemas.KindStreamEnd}
		m := schemas.Message{
			ID: schemas.ID{Epoch: 3, Seq: seq}, Channel: "a", Topic: schemas.Topic(topic), Kind: kinds[int(kind)%len(kinds)],
			Data: data, RunID: run, StreamID: stream, Offset: offset, Sub: sub, CreatedAt: schemas.Time(at),
		}
		got, err := disk.DecodeMessage(disk.Encode(m), m.ID.Epoch, m.Channel)
		if err != nil || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", m) {
			t.Errorf("%+v became %+v, %v", m, got, err)
		}
		if b := disk.Encode(m); int64(len(b)) != disk.SizeOf(m) {
			t.Errorf("%+v has %d bytes and counts for %d", m, len(b), disk.SizeOf(m))
		}
	})
}
