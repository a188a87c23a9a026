package report

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const intro = `# Benchmarks

This page compares Sluice with servers that do the same work, and with *floors*: programs that only write, and show what the machine can do. The program in [bench](../bench) made all of it. [Its README](../bench/README.md) says how it measures, and what the figures do not tell you. To measure your own machine:

    make bench

- One server runs at a time, on a core of its own. One client runs on another core. It reads every event on every connection, and checks that none is lost, repeated or out of order.
- A figure is the median of the rounds, with the minimum and the maximum beside it. **wrong** counts what was not delivered once and in order. A run with anything wrong does not count towards the median, unless all runs of that server are wrong.
- **×** is the figure of a row divided by that of another server in the same case. *Best peer* is the best server that is neither Sluice nor a floor.
- **without** names what a server does not do, or was not asked to do: *resume* means that a reader that reconnects gets what it missed; *access control* means that somebody checks who reads and publishes; *slow readers* means that a reader that takes nothing neither holds up others nor costs memory without a limit; *limits* means that there is a limit on the messages that are kept. Such work costs time and memory, so read a figure together with this column.
- **CPU second** is a second of the server's processor time, in the kernel and in user space. Where *client busy* is near 100 %, the client limits the figures per second. Figures per CPU second suffer less, but a slow publisher leaves a server fewer messages to send together.
- In the plots, Sluice is blue, floors are yellow and peers are grey. A dot is the median, and the line through it is the range. A hollow red dot means that all runs of that server were wrong.
`

// Write writes dir/benchmarks.md and, for its plots, dir/benchmarks/*.svg. Scenarios that were
// not measured stay as they are in the page that is there, and are said to be of another
// run.
func (r *Results) Write(dir string) error {
	plots := filepath.Join(dir, "benchmarks")
	if err := os.MkdirAll(plots, 0o755); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	path := filepath.Join(dir, "benchmarks.md")
	before, err := readPage(path)
	if err != nil {
		return err
	}
	var page strings.Builder
	page.WriteString(intro)
	r.writeRun(&page, before)
	for _, s := range Scenarios() {
		rows := r.Rows(s)
		if len(rows) == 0 {
			if section := before.earlier(s.Name); section != "" {
				fmt.Fprintf(&page, "\n## %s\n", section)
			}
			continue
		}
		file := strings.ToLower(s.Name) + ".svg"
		title := s.Name + ": " + s.Title
		writeSection(&page, s, rows, title, file)
		plot := dots(title, s, rows)
		if s.Growth != "" {
			plot = growth(title, s, rows)
		}
		if err := os.WriteFile(filepath.Join(plots, file), []byte(plot), 0o644); err != nil {
			return fmt.Errorf("report: %w", err)
		}
	}
	if err := os.WriteFile(path, []byte(page.String()), 0o644); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// writeRun tells where, when and with what.
func (r *Results) writeRun(page *strings.Builder, before *page) {
	m := r.Machine
	fmt.Fprintf(page, "\n## The run\n\n`%s`\n\n", r.Command)
	fmt.Fprintf(page, "%s, %d CPUs, %s of memory; %s, TCP congestion control %s; %s. ",
		known(m.CPU), m.Cores, known(m.Memory), known(m.Kernel), known(m.Congestion), m.Go)
	if !m.Pinned {
		page.WriteString("**Server and client shared one core.** ")
	}
	fmt.Fprintf(page, "%s, in %s; %s of %s after a warm-up.\n\n",
		r.Started.Format("2006-01-02 15:04 UTC"), r.Took.Round(time.Second), r.rounds(), r.Window)
	page.WriteString("| server | version | to be known |\n|---|---|---|\n")
	for _, name := range r.names() {
		s := r.Servers[name]
		version := s.Version
		if s.Flags != "" {
			version += ", with `" + s.Flags + "`"
		}
		fmt.Fprintf(page, "| %s | %s | %s |\n", name, version, s.Note)
	}
	for _, name := range slices.Sorted(maps.Keys(before.versions)) {
		if _, measured := r.Servers[name]; !measured && name != "server" {
			fmt.Fprintln(page, before.versions[name])
		}
	}
}

// known returns what the machine said of itself, or that it did not.
func known(text string) string {
	if text == "" {
		return "unknown"
	}
	return text
}

// rounds tells how many rounds there were, and of which scenarios there were others.
func (r *Results) rounds() string {
	last := map[string]int{}
	for _, s := range r.Samples {
		last[s.Scenario] = max(last[s.Scenario], s.Round+1)
	}
	text, between := fmt.Sprintf("%d rounds", r.Rounds), " ("
	if r.Rounds == 1 {
		text = "1 round"
	}
	for _, s := range Scenarios() {
		if n := last[s.Name]; n > 0 && n != r.Rounds {
			text += fmt.Sprintf("%s%s: %d", between, s.Name, n)
			between = ", "
		}
	}
	if between == ", " {
		text += ")"
	}
	return text
}

// names returns the servers: Sluice, the peers, the floors, each by name.
func (r *Results) names() []string {
	var names []string
	for _, kind := range []Kind{Subject, Peer, Floor} {
		first := len(names)
		for name, s := range r.Servers {
			if s.Kind == kind {
				names = append(names, name)
			}
		}
		slices.Sort(names[first:])
	}
	return names
}

// writeSection writes the table of a scenario.
func writeSection(page *strings.Builder, s Scenario, rows []*Row, title, file string) {
	fmt.Fprintf(page, "\n## %s\n\n%s\n\n![%s](benchmarks/%s)\n\n", title, s.What, title, file)
	table := cells(s, rows)
	fmt.Fprintf(page, "| %s |\n", strings.Join(table[0], " | "))
	fmt.Fprintf(page, "|%s\n", strings.Repeat("---|", len(table[0])))
	for n, line := range table[1:] {
		if i := slices.Index(line, rows[n].Server); rows[n].Kind == Subject && i >= 0 {
			line[i] = "**" + line[i] + "**"
		}
		fmt.Fprintf(page, "| %s |\n", strings.Join(line, " | "))
	}
	for _, row := range rows {
		for _, fault := range row.Faults {
			fmt.Fprintf(page, "\n%s %s failed: `%s`\n", row.Server, row.Case, strings.ReplaceAll(fault, "\n", " "))
		}
	}
}
