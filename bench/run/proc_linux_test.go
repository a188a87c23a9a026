package run_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/bench/run"
)

func TestParseStat(t *testing.T) {
	const rest = " S 11 12 12 0 -1 4194560 100 5 0 0 321 45 7 8 20 0 6 0 5000 1000000 250 0"
	for _, tt := range []struct{ name, text string }{
		{"plain", "42 (sluice)" + rest},
		{"space", "42 (nginx: worker process)" + rest},
		{"parentheses", "42 (a) S 1 (b))" + rest},
	} {
		t.Run(tt.name, func(t *testing.T) {
			parent, cpu, err := run.ParseStat(tt.text)
			if parent != 11 || cpu != 3660*time.Millisecond || err != nil {
				t.Errorf("parent %d, %v, %v", parent, cpu, err)
			}
		})
	}
	for _, text := range []string{"", "42 sluice S 1", "42 (sluice) S 1 2", "42 (sluice) S x" + rest} {
		if _, _, err := run.ParseStat(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

func TestParseStatus(t *testing.T) {
	const text = "Name:\tVmRSS: 1 kB\nVmHWM:\t  9000 kB\nVmRSS:\t    8192 kB\nRssAnon:\t    4096 kB\nRssFile:\t 4096 kB\n"
	rss, anon, err := run.ParseStatus(text)
	if rss != 8<<20 || anon != 4<<20 || err != nil {
		t.Errorf("%d, %d, %v", rss, anon, err)
	}
	for _, cut := range []string{"VmRSS:\t    8192 kB\n", "RssAnon:", "4096"} {
		if _, _, err := run.ParseStatus(strings.Replace(text, cut, "", 1)); err == nil {
			t.Errorf("taken without %q", cut)
		}
	}
}

func TestDescendants(t *testing.T) {
	parents := map[int]int{1: 0, 10: 1, 11: 10, 12: 11, 13: 10, 20: 1, 21: 20, 30: 29}
	for root, want := range map[int]int{10: 4, 20: 2, 12: 1, 99: 0} {
		if got := run.Descendants(parents, root); got != want {
			t.Errorf("%d below %d, want %d", got, root, want)
		}
	}
}

// TestTree_real reads what this process and a child of it use.
func TestTree_real(t *testing.T) {
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { child.Process.Kill(); child.Wait() }()
	rss, anon, err := run.TreeMemory(child.Process.Pid)
	if err != nil || rss < 100<<10 || anon <= 0 || anon >= rss {
		t.Errorf("child: %d, %d, %v", rss, anon, err)
	}
	both, _, err := run.TreeMemory(os.Getpid())
	if err != nil || both < rss+1<<20 {
		t.Errorf("both: %d, child %d, %v", both, rss, err)
	}
	before, err := run.TreeCPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	// Until a tick has been used up.
	for deadline := time.Now().Add(time.Minute); ; {
		now, err := run.TreeCPU(os.Getpid())
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("%v, then %v, %v", before, now, err)
		}
		if now > before {
			break
		}
	}
}
