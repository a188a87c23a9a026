package engine_test

import (
	"testing"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// TestKindCode has the codes that are stored: none of them may ever change.
func TestKindCode(t *testing.T) {
	for code, kind := range []schemas.Kind{"", "data", "run", "datastream-start", "chunk", "datastream-end"} {
		if got := engine.KindCode(kind); int(got) != code {
			t.Errorf("%q has the code %d, want %d", kind, got, code)
		}
		if got, known := engine.KindOf(code); got != kind || !known {
			t.Errorf("%d is %q, %t; want %q", code, got, known, kind)
		}
	}
	if got := engine.KindCode("strange"); got != 0 {
		t.Errorf("an unknown kind has the code %d", got)
	}
	for _, code := range []int{-1, 6, 255, 256} {
		if got, known := engine.KindOf(code); known {
			t.Errorf("%d is taken for %q", code, got)
		}
	}
}
