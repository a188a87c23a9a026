//go:build unix

package nats_test

import (
	"reflect"
	"testing"

	"github.com/sluicehq/sluice/schemas"
)

// Every field of a message is delivered to another node, whatever characters it has.
func TestEngine_everyField(t *testing.T) {
	list := nodes(t, 2, shared(t))
	list[1].follow(t, "c")
	e := entry("c", `"é"`)
	e.Kind, e.RunID, e.StreamID, e.Offset = schemas.KindChunk, "r 1", "s", 1<<40
	e.Sub = "\ta\r\n\x00\x7f\u2028\"ü: x "
	r := list[0].put(t, e)
	e.ID, e.CreatedAt = r.ID, r.CreatedAt
	list[1].delivered(t, "c", `"é"`)
	if got := list[1].messages["c"][0]; !reflect.DeepEqual(got, e.Message) {
		t.Errorf("delivered %+v\nwant %+v", got, e.Message)
	}
}
