package report

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"time"

	"github.com/sluicehq/sluice/bench/load"
)

// SluiceName is the name of the server that all this is about.
const SluiceName = "sluice"

// Kind is what a server is measured for.
type Kind string

const (
	// Subject is the server that the others are there to compare with.
	Subject Kind = "subject"
	// Peer is a server that does the same work.
	Peer Kind = "peer"
	// Floor is a program that only writes: what the machine can do.
	Floor Kind = "floor"
)

// Sample is one server measured once.
type Sample struct {
	Scenario string             `json:"scenario"`
	Case     string             `json:"case,omitempty"`
	X        float64            `json:"x,omitempty"` // the case as a number, where there is one
	Server   string             `json:"server"`
	Round    int                `json:"round"`
	Metrics  map[string]float64 `json:"metrics"`
	Check    load.Check         `json:"check"` // of all deliveries, in and outside the window
	Fault    string             `json:"fault,omitempty"`
}

// Good tells whether the sample counts: nothing failed, and every reader got everything.
func (s Sample) Good() bool { return s.Fault == "" && s.Check.Good() }

// Server describes one of the servers of a run.
type Server struct {
	Kind    Kind   `json:"kind"`
	Version string `json:"version"`
	Flags   string `json:"flags,omitempty"` // those that are not its defaults
	// Lacks names what it does not do, as "resume": that stands beside its figures.
	Lacks []string `json:"lacks,omitempty"`
	Note  string   `json:"note,omitempty"` // what else is to be known
}

// Machine is where a run took place.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"` // logical processors
	Memory string `json:"memory"`
	Kernel string `json:"kernel"`
	// Congestion is the kernel's TCP congestion control, as "cubic": it has a part in how
	// small writes leave, on loopback too.
	Congestion string `json:"tcp_congestion_control"`
	Go         string `json:"go"`
	Pinned     bool   `json:"pinned"` // server and client each had a core of their own
}

// Results is all that a run found.
type Results struct {
	Command string            `json:"command"`
	Started time.Time         `json:"started"`
	Took    time.Duration     `json:"took_ns"`
	Window  time.Duration     `json:"window_ns"` // measured in each round
	Rounds  int               `json:"rounds"`
	Machine Machine           `json:"machine"`
	Servers map[string]Server `json:"servers"`
	Samples []Sample          `json:"samples"`
}

// Read reads the file of a run.
func Read(path string) (*Results, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	var r Results
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("report: %s: %w", path, err)
	}
	return &r, nil
}

// Add adds what another run on the same machine has measured, as if it had been a part of
// this one. Rounds are those of the run with the most.
func (r *Results) Add(other *Results) {
	r.Command += "; " + other.Command
	r.Took += other.Took
	r.Rounds = max(r.Rounds, other.Rounds)
	maps.Copy(r.Servers, other.Servers)
	r.Samples = append(r.Samples, other.Samples...)
}

// Save writes the file of a run, as a whole or not at all.
func (r *Results) Save(path string) error {
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if err := os.WriteFile(path+".new", append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}
