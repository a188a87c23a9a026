package report

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// measuredApart begins the line that a section of another run has below its title.
const measuredApart = "*Measured in another run: "

// page is a report that was written before.
type page struct {
	about    string            // what it tells of its run: machine, time and rounds
	versions map[string]string // lines of the table of servers, by server
	sections map[string]string // by scenario, each from its title on, without an end of line
}

// readPage reads a report, if there is one.
func readPage(path string) (*page, error) {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("report: %w", err)
	}
	p := &page{versions: map[string]string{}, sections: map[string]string{}}
	_, rest, _ := strings.Cut(string(text), "\n## ")
	for section := range strings.SplitSeq(rest, "\n## ") {
		title, body, _ := strings.Cut(section, "\n")
		if title == "The run" {
			p.readRun(body)
		} else if name, _, found := strings.Cut(title, ":"); found {
			p.sections[name] = strings.TrimSpace(section)
		}
	}
	return p, nil
}

// readRun reads what the page tells of its run.
func (p *page) readRun(body string) {
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		if strings.Contains(line, " UTC, in ") {
			p.about = line
		}
		if cells := strings.Split(line, " | "); len(cells) > 1 {
			p.versions[strings.TrimPrefix(cells[0], "| ")] = line
		}
	}
}

// earlier returns the section of a scenario, which says that it is of an earlier run, or
// nothing.
func (p *page) earlier(scenario string) string {
	section := p.sections[scenario]
	if section == "" || strings.Contains(section, "\n"+measuredApart) {
		return section
	}
	title, body, _ := strings.Cut(section, "\n")
	return title + "\n\n" + measuredApart + strings.TrimSuffix(p.about, ".") + ".*\n" + body
}
