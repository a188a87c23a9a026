package schemas

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// RunStatus is the status of the job that a channel reports on.
type RunStatus string

// The statuses of a run. All but running are final.
const (
	RunRunning   RunStatus = "running"
	RunCompleted RunStatus = "completed"
	RunFailed    RunStatus = "failed"
	RunCancelled RunStatus = "cancelled"
)

// Valid reports whether s is one of the statuses.
func (s RunStatus) Valid() bool { return s == RunRunning || s.Final() }

// Final reports whether s is final: a run with this status cannot change it.
func (s RunStatus) Final() bool {
	return s == RunCompleted || s == RunFailed || s == RunCancelled
}

// RunChange is a change of a run's status, and the data of the message about it.
type RunChange struct {
	Status RunStatus       `json:"status"`
	RunID  string          `json:"run_id,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  json.RawMessage `json:"error,omitempty"`
}

// Encode returns the change as compact JSON. Result and Error must be valid, compact JSON
// and are copied byte for byte.
func (c *RunChange) Encode() []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(c); err != nil {
		panic("schemas: run change does not marshal: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// ParseRunChange returns the change in the data of a run message.
func ParseRunChange(m *Message) (RunChange, error) {
	var change RunChange
	if err := json.Unmarshal(m.Data, &change); err != nil {
		return change, fmt.Errorf("schemas: the run status of %s: %w", m.Channel, err)
	}
	return change, nil
}
