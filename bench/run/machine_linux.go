package run

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sluicehq/sluice/bench/report"
)

// maxDescriptors bounds what this process and each server may open.
const maxDescriptors = 20000

// raiseDescriptors raises the limit of open files as far as is allowed and needed.
func raiseDescriptors() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("run: %w", err)
	}
	if wanted := min(limit.Max, maxDescriptors); limit.Cur < wanted {
		limit.Cur = wanted
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			return fmt.Errorf("run: %w", err)
		}
	}
	return nil
}

// room tells whether so many streams fit beside the other descriptors.
func room(streams int) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("run: %w", err)
	}
	if limit.Cur < uint64(streams)+200 {
		return errFew
	}
	return nil
}

// describeMachine tells what the numbers are of.
func describeMachine(pinned bool) report.Machine {
	m := report.Machine{Cores: runtime.NumCPU(), Go: runtime.Version(), Pinned: pinned}
	m.CPU = field("/proc/cpuinfo", "model name")
	if kib := strings.TrimSuffix(field("/proc/meminfo", "MemTotal"), " kB"); kib != "" {
		var n float64
		if _, err := fmt.Sscan(kib, &n); err == nil {
			m.Memory = fmt.Sprintf("%.0f GiB", n/(1<<20))
		}
	}
	if text, err := os.ReadFile("/proc/sys/net/ipv4/tcp_congestion_control"); err == nil {
		m.Congestion = strings.TrimSpace(string(text))
	}
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		release, _, _ := bytes.Cut(uts.Release[:], []byte{0})
		m.Kernel = "Linux " + string(release)
	}
	return m
}

// field returns the first value of a name in a file of "name: value" lines, or nothing.
func field(path, name string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }() // it was only read
	for lines := bufio.NewScanner(f); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), ":")
		if strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
