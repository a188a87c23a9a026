package run

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// ticksPerSecond is the unit of times in /proc, USER_HZ: 100 on every Linux that Go runs on.
const ticksPerSecond = 100

// errProc is of a file in /proc that does not look as proc(5) says.
var errProc = errors.New("run: malformed file in /proc")

// procStat is what /proc/PID/stat tells of a process.
type procStat struct {
	parent int
	cpu    time.Duration // user and system, all threads
}

// parseStat reads a stat file. The name in it may contain spaces and parentheses.
func parseStat(text []byte) (procStat, error) {
	end := bytes.LastIndexByte(text, ')')
	if end < 0 {
		return procStat{}, errProc
	}
	fields := bytes.Fields(text[end+1:]) // from the third on
	if len(fields) < 13 {
		return procStat{}, errProc
	}
	var n [3]int
	for i, at := range []int{1, 11, 12} { // ppid, utime, stime
		var err error
		if n[i], err = strconv.Atoi(string(fields[at])); err != nil {
			return procStat{}, errProc
		}
	}
	return procStat{n[0], time.Duration(n[1]+n[2]) * time.Second / ticksPerSecond}, nil
}

// memory is what processes hold, in bytes.
type memory struct{ rss, anon, peak int }

// parseStatus reads the sizes in a status file.
func parseStatus(text []byte) (memory, error) {
	var m memory
	for _, f := range []struct {
		name string
		into *int
	}{{"\nVmRSS:", &m.rss}, {"\nRssAnon:", &m.anon}, {"\nVmHWM:", &m.peak}} {
		_, rest, found := bytes.Cut(text, []byte(f.name))
		fields := bytes.Fields(rest[:min(len(rest), 40)])
		if !found || len(fields) < 2 || string(fields[1]) != "kB" {
			return m, fmt.Errorf("%w: no %q", errProc, f.name[1:])
		}
		kib, err := strconv.Atoi(string(fields[0]))
		if err != nil {
			return m, errProc
		}
		*f.into = kib << 10
	}
	return m, nil
}

// tree is a process with all that descend from it.
type tree struct{ root int }

// members returns the processes of the tree with what they used.
func (t tree) members() (map[int]procStat, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	all := map[int]procStat{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		stat, err := parseStat(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			return nil, errProc
		}
		all[pid] = stat
	}
	return descendants(all, t.root), nil
}

// descendants returns root and the processes below it.
func descendants(all map[int]procStat, root int) map[int]procStat {
	found := map[int]procStat{}
	for pid := range all {
		at := pid
		for at != root && at > 1 {
			at = all[at].parent
		}
		if at == root {
			found[pid] = all[pid]
		}
	}
	return found
}

// cpu returns the processor time of the tree so far. A member that has ended is not in it.
func (t tree) cpu() (time.Duration, error) {
	members, err := t.members()
	if err != nil {
		return 0, err
	}
	if _, runs := members[t.root]; !runs {
		return 0, fmt.Errorf("run: process %d has ended", t.root)
	}
	var sum time.Duration
	for _, m := range members {
		sum += m.cpu
	}
	return sum, nil
}

// memory returns what the tree holds. Pages that members share are counted for each.
func (t tree) memory() (memory, error) {
	members, err := t.members()
	if err != nil {
		return memory{}, err
	}
	var sum memory
	for pid := range members {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return sum, fmt.Errorf("run: %w", err)
		}
		m, err := parseStatus(text)
		if err != nil {
			return sum, err
		}
		sum.rss += m.rss
		sum.anon += m.anon
		sum.peak += m.peak
	}
	return sum, nil
}

// written is what processes have written, in bytes.
type written struct {
	disk  int // that went to a disk, or will: pages count as a whole, and once until they are there
	calls int // of all calls that write, also to sockets
}

// parseIO reads an io file.
func parseIO(text []byte) (w written, err error) {
	for _, f := range []struct {
		name string
		into *int
	}{{"\nwrite_bytes: ", &w.disk}, {"\nwchar: ", &w.calls}} {
		_, rest, found := bytes.Cut(text, []byte(f.name))
		line, _, whole := bytes.Cut(rest, []byte("\n"))
		if !found || !whole {
			return w, fmt.Errorf("%w: no %q", errProc, f.name[1:])
		}
		if *f.into, err = strconv.Atoi(string(line)); err != nil {
			return w, errProc
		}
	}
	return w, nil
}

// written returns what the tree has written so far. A member that has ended is not in it.
func (t tree) written() (sum written, err error) {
	members, err := t.members()
	if err != nil {
		return sum, err
	}
	for pid := range members {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
		if err != nil {
			return sum, fmt.Errorf("run: %w", err)
		}
		w, err := parseIO(text)
		if err != nil {
			return sum, err
		}
		sum.disk += w.disk
		sum.calls += w.calls
	}
	return sum, nil
}
