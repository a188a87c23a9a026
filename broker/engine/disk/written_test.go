package disk_test

import (
	"fmt"
	"testing"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/disk"
	"github.com/sluicehq/sluice/schemas"
)

// BenchmarkEngine_texts measures how many bytes are written for each byte of text that comes
// in pieces of 8 bytes, by how many texts grow at the same time, and so share groups. With
// fences, each text has a record.
func BenchmarkEngine_texts(b *testing.B) {
	for _, texts := range []int{1, 32, 256} {
		b.Run(fmt.Sprint(texts), func(b *testing.B) { writeTexts(b, texts, false) })
		b.Run(fmt.Sprint(texts, "/fences"), func(b *testing.B) { writeTexts(b, texts, true) })
	}
}

func writeTexts(b *testing.B, texts int, fences bool) {
	n := open(b, b.TempDir(), disk.Options{})
	n.discards = true
	before := n.JournalBytes()
	b.ReportAllocs()
	b.ResetTimer()
	spread(texts, b.N, appender(n, texts, fences))
	b.StopTimer()
	if err := n.Flush(); err != nil {
		b.Fatal(err)
	}
	text := float64(8 * b.N)
	b.ReportMetric(float64(n.JournalBytes()-before)/text, "journal/byte")
	b.ReportMetric(float64(n.TableBytes())/text, "tables/byte")
	b.ReportMetric(float64(b.N)/float64(n.Stats().Commits), "pieces/group")
}

// appender returns a function that appends a piece to the text of a worker. A text ends after
// 1,000 pieces.
func appender(n *node, texts int, fences bool) func(worker int) error {
	pieces := make([]int64, texts)
	records := make([]uint64, texts) // their revisions
	return func(worker int) error {
		i := pieces[worker]
		pieces[worker]++
		e := entry(fmt.Sprint("chat:", worker), "draft", `{}`)
		e.StreamID = fmt.Sprintf("01JX5W9Y3M7QTZ%012d", i/1000)
		switch i % 1000 {
		case 0:
			e.Kind = schemas.KindStreamStart
		case 999:
			e.Kind = schemas.KindStreamEnd
		default:
			e.Kind, e.Offset, e.Data = schemas.KindChunk, 8*(i%1000-1), fmt.Appendf(nil, `" t%05d "`, i*7919%99_991)
		}
		if fences && e.Kind == schemas.KindStreamStart {
			var err error
			if records[worker], err = n.SetText(n.t.Context(), e.TextName(), 0, engine.Text{Attempt: 1, State: engine.TextOpen}); err != nil {
				return err
			}
		}
		e.Fence = records[worker]
		_, err := n.Append(n.t.Context(), e)
		return err
	}
}
