package nats

import (
	"bytes"
	"testing"

	"github.com/sluicehq/sluice/broker/engine"
)

// FuzzOpenTextRecord checks that whatever the stream holds is a record or an error, and
// that a record stands for itself.
func FuzzOpenTextRecord(f *testing.F) {
	r := textRecord{engine.Text{Attempt: 2, State: engine.TextComplete, Since: 3, First: 4, Last: 5, Chunks: 6, Bytes: 7, At: 8}, 9, "node"}
	f.Add(r.encode())
	f.Add(r.encode()[:12])
	f.Add([]byte{})
	if got, err := openTextRecord(r.encode(), 10); err != nil || got != r {
		f.Errorf("%+v, %v, want %+v", got, err, r)
	}
	r.Since = 0
	if got, err := openTextRecord(r.encode(), 10); err != nil || got.Since != 10 {
		f.Errorf("it begins after %d, %v, want its own position", got.Since, err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := openTextRecord(b, 1)
		if err != nil {
			return
		}
		again, err := openTextRecord(r.encode(), 1)
		if err != nil || again != r || !bytes.HasSuffix(b, []byte(r.node)) {
			t.Errorf("%+v becomes %+v, %v", r, again, err)
		}
	})
}
