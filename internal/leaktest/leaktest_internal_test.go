package leaktest

import (
	"strings"
	"testing"
	"time"
)

type tests func() int

func (f tests) Run() int { return f() }

// A goroutine that ends late, later than goleak alone waits, is none that was left behind.
func TestRun_endsLate(t *testing.T) {
	code := Run(tests(func() int {
		go time.Sleep(time.Second)
		return 0
	}))
	if code != 0 {
		t.Errorf("status %d", code)
	}
}

func TestRun_failed(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	if code := Run(tests(func() int { go func() { <-stop }(); return 3 })); code != 3 {
		t.Errorf("status %d, want that of the tests", code)
	}
}

func TestFind_leak(t *testing.T) {
	stop := make(chan struct{})
	go leaked(stop)
	if err := find(time.Millisecond); err == nil || !strings.Contains(err.Error(), "leaktest.leaked") {
		t.Errorf("err = %v", err)
	}
	close(stop)
}

func leaked(stop chan struct{}) { <-stop }
