package disk_test

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/disk"
	"github.com/sluicehq/sluice/schemas"
)

// image copies a directory that is in use. The copy is what a kill would leave.
func image(t testing.TB, dir string) string {
	t.Helper()
	var err error
	for range 20 {
		to := t.TempDir()
		// Files may be created and removed during the copy. If so, copy again.
		if err = os.CopyFS(to, os.DirFS(dir)); err == nil {
			return to
		}
	}
	t.Fatal(err)
	return ""
}

// A kill loses nothing that was acknowledged, whether it was synced or not.
func TestOpen_killed(t *testing.T) {
	opts := disk.Options{SyncEvery: time.Hour}.On(vfs.Default, "this boot")
	dir := t.TempDir()
	n := open(t, dir, opts)
	n.put("a", "1")
	first := n.once("a", "k", "2")
	n.put("b", "3")
	killed := open(t, image(t, dir), opts)
	if killed.origin != (engine.Origin{Epoch: n.origin.Epoch, Head: 3}) {
		t.Errorf("origin %+v", killed.origin)
	}
	killed.want("a", "lost 0: 1=1 2=2")
	killed.want("b", "lost 0: 3=3")
	if again := killed.once("a", "k", "again"); again.ID != first.ID || !again.Duplicate {
		t.Errorf("again %+v, first %+v", again, first)
	}
	if seq := killed.put("a", "4"); seq != 4 {
		t.Errorf("the next position is %d", seq)
	}
	// Open it once more, now that the replayed records are in the tables.
	again := open(t, image(t, killed.dir()), opts)
	again.want("a", "lost 0: 1=1 2=2 4=4")
}

// This test kills a real process that publishes.
func TestOpen_killedProcess(t *testing.T) {
	if dir := os.Getenv("DISK_TEST_DIR"); dir != "" {
		publishForEver(t, dir)
	}
	dir := t.TempDir()
	for round := range 3 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestOpen_killedProcess$")
		cmd.Env = append(os.Environ(), "DISK_TEST_DIR="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		told := map[uint64]bool{}
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if seq, err := strconv.ParseUint(lines.Text(), 10, 64); err == nil {
				told[seq] = true
			}
			if len(told) == 2000 {
				cmd.Process.Kill()
			}
		}
		cmd.Wait()
		n := open(t, dir, disk.Options{})
		if n.origin.Lost != 0 || uint64(len(told)) > n.origin.Head || n.Recovered() == 0 {
			t.Errorf("round %d: origin %+v, %d told, %d read back", round, n.origin, len(told), n.Recovered())
		}
		for i := range 8 {
			for _, m := range n.load(fmt.Sprint("c", i)).Messages {
				delete(told, m.ID.Seq)
			}
		}
		if len(told) != 0 {
			t.Errorf("round %d: %d acknowledged messages are lost", round, len(told))
		}
		for i := range 8 {
			n.Delete(t.Context(), schemas.Channel(fmt.Sprint("c", i)))
		}
		n.close()
	}
}

func publishForEver(t *testing.T, dir string) {
	n := open(t, dir, disk.Options{SyncEvery: time.Hour})
	for i := range 8 {
		go func() {
			for {
				e := entry(fmt.Sprint("c", i), "t", `"`+strings.Repeat("x", 100)+`"`)
				e.Limits.Messages, e.Limits.Bytes = 1e6, 1<<30
				fmt.Println(n.append(e).ID.Seq)
			}
		}()
	}
	select {}
}

// dir returns the engine's directory.
func (n *node) dir() string { return n.path }

// power is a machine whose power fails.
type power struct {
	fs   *vfs.MemFS
	boot int
}

func (p *power) opts(o disk.Options) disk.Options { return o.On(p.fs, fmt.Sprint("boot ", p.boot)) }

// fail keeps what was synced, and a part of the rest.
func (p *power) fail(percent int, rng *rand.Rand) *power {
	return &power{fs: p.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}), boot: p.boot + 1}
}

// A power failure loses nothing durable, and readers are told about the rest.
func TestOpen_powerFailure(t *testing.T) {
	before := &power{fs: vfs.NewCrashableMem()}
	n := open(t, "d", before.opts(disk.Options{SyncEvery: time.Hour}))
	n.once("a", "k", "1")
	n.put("a", "2")
	run := entry("b", "$run", `{"status":"running"}`)
	run.Kind = schemas.KindRun
	n.append(run)
	n.put("a", "4")
	after := before.fail(0, nil)
	m := open(t, "d", after.opts(disk.Options{}))
	if m.origin.Lost != m.origin.Head || m.origin.Head < 4 || m.origin.Epoch != n.origin.Epoch {
		t.Errorf("origin %+v", m.origin)
	}
	m.want("a", "lost 0: 1=1 2=2") // 2 came before the run message, which was synced
	if kept := m.load("b"); kept.Run == nil {
		t.Error("the run status is lost")
	}
	if r := m.once("a", "k", "x"); r.ID.Seq != 1 {
		t.Errorf("the key is lost: %+v", r)
	}
	if seq := m.put("a", "x"); seq != m.origin.Head+1 {
		t.Errorf("position %d after head %d", seq, m.origin.Head)
	}
	// The loss is still known after later ends, clean or not.
	lost := m.origin.Lost
	m.close()
	m = open(t, "d", after.opts(disk.Options{}))
	if m.origin.Lost != lost {
		t.Errorf("lost %d after a clean end, was %d", m.origin.Lost, lost)
	}
}

// If the system does not identify its boots, every unclean end counts as a power failure.
func TestOpen_powerFailure_unknownBoot(t *testing.T) {
	before := &power{fs: vfs.NewCrashableMem()}
	n := open(t, "d", disk.Options{}.On(before.fs, ""))
	n.put("a", "1")
	m := open(t, "d", disk.Options{}.On(before.fail(100, rand.New(rand.NewPCG(1, 1))).fs, ""))
	if m.origin.Lost == 0 {
		t.Errorf("origin %+v", m.origin)
	}
	m.close()
	m = open(t, "d", disk.Options{}.On(before.fs.CrashClone(vfs.CrashCloneCfg{}), "x"))
	if m.origin.Lost == 0 {
		t.Errorf("origin %+v", m.origin)
	}
}

// After SyncEvery, an ordinary message survives a power failure.
func TestOpen_powerFailure_syncEvery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := &power{fs: vfs.NewCrashableMem()}
		n := open(t, "d", before.opts(disk.Options{SyncEvery: 100 * time.Millisecond}))
		n.once("b", "k", "1") // positions are set aside, which is synced
		n.put("a", "2")
		at := before.fail(0, nil)
		time.Sleep(101 * time.Millisecond) // in the bubble's time
		later := before.fail(0, nil)
		n.put("a", "3")
		syncs := n.Stats().Syncs
		time.Sleep(time.Minute)
		if now := n.Stats().Syncs; now != syncs+1 {
			t.Errorf("%d syncs while nothing happened", now-syncs-1)
		}
		n.close()
		n = open(t, "d", at.opts(disk.Options{}))
		n.want("a", "lost 0:")
		n.close()
		n = open(t, "d", later.opts(disk.Options{}))
		n.want("a", "lost 0: 2=2")
		n.close()
	})
}

// Whichever part of the unsynced data survives a power failure, the engine opens, has
// everything durable, and hands out no position twice.
func TestOpen_powerFailure_anyMoment(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	for round := range 40 {
		p := &power{fs: vfs.NewCrashableMem()}
		durable, highest := map[uint64]string{}, uint64(0)
		for life := range 3 {
			n := open(t, "d", p.opts(disk.Options{SyncEvery: time.Hour}))
			if n.origin.Head < highest {
				t.Fatalf("round %d, life %d: head %d, %d was handed out", round, life, n.origin.Head, highest)
			}
			got := map[uint64]string{}
			for _, m := range n.load("a").Messages {
				got[m.ID.Seq] = string(m.Data)
			}
			for seq, data := range durable {
				if got[seq] != data {
					t.Fatalf("round %d, life %d: durable %d is %q, want %q", round, life, seq, got[seq], data)
				}
			}
			for i := range rng.IntN(30) {
				data := fmt.Sprintf(`"%d %s"`, i, strings.Repeat("x", rng.IntN(3000)))
				if rng.IntN(4) == 0 {
					highest = n.once("a", fmt.Sprint(life, i), data).ID.Seq
					durable[highest] = data
				} else {
					highest = n.put("a", data)
				}
			}
			p = p.fail(rng.IntN(101), rng)
		}
	}
}

// Only one process may use a directory at a time.
func TestOpen_inUse(t *testing.T) {
	dir := t.TempDir()
	n := open(t, dir, disk.Options{})
	if _, err := disk.Open(dir, disk.Options{}); !errors.Is(err, disk.ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Errorf("err = %v", err)
	}
	if os.Getenv("DISK_TEST_OTHER") == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestOpen_inUseByOther$")
		cmd.Env = append(os.Environ(), "DISK_TEST_OTHER="+dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
	n.put("a", "1")
	n.close()
	open(t, dir, disk.Options{}).want("a", "lost 0: 1=1")
}

// This is the other process of TestOpen_inUse.
func TestOpen_inUseByOther(t *testing.T) {
	dir := os.Getenv("DISK_TEST_OTHER")
	if dir == "" {
		t.Skip("runs as a part of TestOpen_inUse")
	}
	if _, err := disk.Open(dir, disk.Options{}); !errors.Is(err, disk.ErrInUse) {
		t.Errorf("err = %v", err)
	}
}

func TestOpen_format(t *testing.T) {
	tests := []struct {
		name string
		make func(dir string)
		want string // in the error; "": none
	}{
		{"empty", func(string) {}, ""},
		{"not there", func(dir string) { os.Remove(dir) }, ""},
		{"being made", func(dir string) {
			write(dir, "FORMAT", "sluice 1 begun\n")
			os.Mkdir(filepath.Join(dir, "tables"), 0o700)
			write(dir, "tables/rest", "x")
		}, ""},
		{"newer", func(dir string) { write(dir, "FORMAT", "sluice 4\n") }, "newer version"},
		{"another's", func(dir string) { write(dir, "notes.txt", "x") }, "neither empty nor an engine's"},
		{"no format", func(dir string) { write(dir, "FORMAT", "") }, "FORMAT"},
		{"another format", func(dir string) { write(dir, "FORMAT", "other 1\n") }, "FORMAT"},
		{"no number", func(dir string) { write(dir, "FORMAT", "sluice x\n") }, "FORMAT"},
		{"nothing else", func(dir string) { write(dir, "FORMAT", "sluice 1\n") }, "tables"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			tt.make(dir)
			e, err := disk.Open(dir, disk.Options{})
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("err = %v", err)
			}
			if err == nil {
				e.Close()
			}
		})
	}
}

func write(dir, name, text string) {
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		panic(err)
	}
}

// The amount that a start reads does not grow with the amount stored.
func TestOpen_readsBounded(t *testing.T) {
	reads := map[int]int64{}
	for _, messages := range []int{1_000, 50_000} {
		dir := t.TempDir()
		n := open(t, dir, thisBoot())
		n.discards = true
		var next atomic.Int64
		spread(64, messages, func(int) error {
			_, err := n.Append(t.Context(), entry(fmt.Sprint("c", next.Add(1)%(int64(messages)/50)), "t", "1"))
			return err
		})
		n.close()
		began := time.Now()
		m := open(t, dir, thisBoot())
		reads[messages] = m.Reads()
		t.Logf("%d messages: opened in %v with %d blocks and %d records of the journal read", messages, time.Since(began), m.Reads(), m.Recovered())
		if m.Recovered() != 0 || m.origin.Head != uint64(messages) {
			t.Errorf("%d read back, origin %+v", m.Recovered(), m.origin)
		}
	}
	if reads[50_000] > reads[1_000]+20 {
		t.Errorf("blocks looked for, by messages: %v", reads)
	}
}
