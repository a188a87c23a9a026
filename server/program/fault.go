package program

import (
	"fmt"
	"strconv"
	"strings"
)

// usageError is wrong usage or configuration. The program exits with status 2.
type usageError struct{ faults []string }

// Error lists all faults, one a line when there are several.
func (e *usageError) Error() string {
	if len(e.faults) == 1 {
		return e.faults[0]
	}
	return strconv.Itoa(len(e.faults)) + " faults:\n  " + strings.Join(e.faults, "\n  ")
}

// usagef returns a usageError with one fault.
func usagef(format string, args ...any) error {
	return &usageError{[]string{fmt.Sprintf(format, args...)}}
}

// fault is one thing that is wrong with one setting.
type fault struct {
	setting string // name of the flag; "" when there is no such setting
	text    string // with the place and, unless it is secret, the value
}

// faultIn returns a fault with the value and the place where it was given. value is ""
// if it is secret or missing.
func faultIn(setting, place, value, text string) fault {
	if value != "" {
		place += " " + strconv.Quote(value)
	}
	return fault{setting, place + ": " + text}
}

// faults are in the order in which they were found.
type faults []fault

// err returns the faults as one error; nil when there are none.
func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	e := &usageError{}
	for _, fault := range f {
		e.faults = append(e.faults, fault.text)
	}
	return e
}

// about reports whether the setting already has a fault. Further faults of the same
// setting would only follow from the first.
func (f faults) about(setting string) bool {
	for _, fault := range f {
		if fault.setting == setting {
			return true
		}
	}
	return false
}
