package schemas_test

import (
	"testing"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

func BenchmarkTime_Append(b *testing.B) {
	t := schemas.TimeOf(time.Now())
	buf := make([]byte, 0, 64)
	for b.Loop() {
		buf = t.Append(buf[:0])
	}
}

func BenchmarkTime_AppendFormat(b *testing.B) {
	t := schemas.TimeOf(time.Now())
	buf := make([]byte, 0, 64)
	for b.Loop() {
		buf = t.Std().AppendFormat(buf[:0], "2006-01-02T15:04:05.000Z")
	}
}
