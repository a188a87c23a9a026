package nats

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/broker/facts"
)

// A fact is stored as: version 1 | 1 if it is gone | until in milliseconds, varint, 0 for
// never | value.
const factVersion = 1

func encodeFact(fact facts.Fact) []byte {
	b := append(make([]byte, 0, 16+len(fact.Value)), factVersion, 0)
	if fact.Gone {
		b[1] = 1
	}
	until := int64(0)
	if !fact.Until.IsZero() {
		until = fact.Until.UnixMilli()
	}
	return append(binary.AppendVarint(b, until), fact.Value...)
}

func decodeFact(b []byte) (fact facts.Fact, err error) {
	if len(b) < 3 || b[0] != factVersion {
		return fact, errors.New("nats: a record that is no fact")
	}
	until, n := binary.Varint(b[2:])
	if n <= 0 {
		return fact, errors.New("nats: a record that is no fact")
	}
	if until != 0 {
		fact.Until = time.UnixMilli(until)
	}
	fact.Gone = b[1] == 1
	if n += 2; n < len(b) {
		fact.Value = b[n:]
	}
	return fact, nil
}

func expired(fact facts.Fact) bool { return !fact.Until.IsZero() && !fact.Until.After(time.Now()) }

// checkFact reports what cannot be kept.
func checkFact(fact facts.Fact) error {
	for _, c := range fact.Kind {
		if c < 'a' || c > 'z' {
			return fmt.Errorf("nats: kind %q of a fact: lower-case letters are allowed", fact.Kind)
		}
	}
	switch {
	case fact.Kind == "" || len(fact.Kind) > 32:
		return fmt.Errorf("nats: kind %q of a fact: 1 to 32 letters are allowed", fact.Kind)
	case fact.Name == "" || len(fact.Name) > facts.MaxName:
		return fmt.Errorf("nats: name of a fact: it has %d bytes, 1 to %d are allowed", len(fact.Name), facts.MaxName)
	case len(fact.Value) > facts.MaxValue:
		return fmt.Errorf("nats: value of a fact: it has %d bytes, at most %d are allowed", len(fact.Value), facts.MaxValue)
	}
	return nil
}
