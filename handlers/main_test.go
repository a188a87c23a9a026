package handlers_test

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(lingering{m}) }

// lingering runs tests that leave connections to which an answer has answerTime to
// arrive: closing a server does not wait for them.
type lingering struct{ m *testing.M }

// Run implements [goleak.TestingM].
func (l lingering) Run() int {
	code := l.m.Run()
	_ = goleak.Find() // waits, too
	return code
}
