package engine_test

import (
	"fmt"
	"testing"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

func TestLosses(t *testing.T) {
	var l engine.Losses
	l.Add("noise", 7)
	l.Add("noise", 5)
	l.AddBeginning("draft", 9)
	if l.Of("noise") != 7 || l.Of("draft") != 9 || l.Of("other") != 0 || l.Newest != 7 || l.Last() != 9 {
		t.Errorf("losses of topics: %+v", l)
	}
	l.AddAll(8)
	if l.Of("noise") != 8 || l.Of("draft") != 9 || l.Of("other") != 8 || l.Newest != 8 || len(l.Topics) != 1 {
		t.Errorf("losses of all: %+v", l)
	}
}

// Losses of more topics than are known by name count for every topic, but those of the
// newest do not.
func TestLosses_manyTopics(t *testing.T) {
	topic := func(n int) schemas.Topic { return schemas.Topic(fmt.Sprint("t", n)) }
	l := engine.AllLost(1)
	for n := range 100 {
		l.Add(topic(n), uint64(n+10))
	}
	for n := range 100 {
		if seq := uint64(n + 10); l.Of(topic(n)) < seq || l.Of("other") >= seq && n >= 100-32 {
			t.Errorf("of topic %d up to %d is lost, of others up to %d", n, l.Of(topic(n)), l.Of("other"))
		}
	}
	if len(l.Topics) > 32 || l.Newest != 109 {
		t.Errorf("%d topics, newest %d", len(l.Topics), l.Newest)
	}
}
