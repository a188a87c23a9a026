//go:build linux

package run

import "time"

// ParseStat reads the text of /proc/PID/stat.
func ParseStat(text string) (parent int, cpu time.Duration, err error) {
	s, err := parseStat([]byte(text))
	return s.parent, s.cpu, err
}

// ParseStatus reads the text of /proc/PID/status.
func ParseStatus(text string) (rss, anon int, err error) {
	m, err := parseStatus([]byte(text))
	return m.rss, m.anon, err
}

// Descendants returns how many processes are in the tree of root, given each one's parent.
func Descendants(parents map[int]int, root int) int {
	all := map[int]procStat{}
	for pid, parent := range parents {
		all[pid] = procStat{parent: parent}
	}
	return len(descendants(all, root))
}

// Rounds returns how often a server is measured in a scenario, if so many rounds are asked
// for, once for each case.
func Rounds(scenario string, asked int) (rounds []int) {
	for _, p := range plans(1) {
		if p.scenario == scenario {
			rounds = append(rounds, p.rounds(asked))
		}
	}
	return rounds
}

// TreeCPU returns the processor time of a process and its children.
func TreeCPU(pid int) (time.Duration, error) { return tree{pid}.cpu() }

// TreeMemory returns what a process and its children hold.
func TreeMemory(pid int) (rss, anon int, err error) {
	m, err := tree{pid}.memory()
	return m.rss, m.anon, err
}
