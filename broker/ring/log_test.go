package ring_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// log is a log for tests. Its messages are small and of equal size.
type log struct{ ring.Log }

// newLog returns a log with a limit of messages, and of bytes for the given number of
// frames.
func newLog(messages, frames int) *log {
	l := new(log)
	l.Limits = engine.Limits{Messages: messages, Bytes: int64(frames) * frameCost, Age: time.Second}
	l.Floor, l.Swept = ring.NoReader, ring.NoReader
	return l
}

// frameCost is the cost of each frame.
const frameCost = 264

// add appends messages, each of which is written as topic@time. Positions count from 1.
// A topic $run makes a run message.
func (l *log) add(messages ...string) {
	for _, text := range messages {
		topic, at, _ := strings.Cut(text, "@")
		m := message(l.Last()+1, topic)
		_, _ = fmt.Sscan(at, (*int64)(&m.CreatedAt))
		l.Append(&m)
	}
}

// message returns the message at a position. Its data makes up for the varying length
// of its other parts.
func message(seq uint64, topic string) schemas.Message {
	m := schemas.Message{ID: schemas.ID{Epoch: 1, Seq: seq}, Channel: "c", Topic: schemas.Topic(topic), Kind: schemas.KindData}
	if topic == "$run" {
		m.Kind = schemas.KindRun
	}
	f := ring.NewFrame(&m)
	m.Data = []byte(strings.Repeat("1", frameCost-int(f.Cost())))
	return m
}

func (l *log) positions() []uint64 {
	var held []uint64
	for i := range l.Len() {
		held = append(held, l.At(i).Seq)
	}
	return held
}

// reason returns why the newest lost message is lost, as a reader is told.
func (l *log) reason() ring.GapReason {
	r := ring.NewReader(schemas.NewTopicSet(nil), 0, 0)
	if gap := r.Fill(&l.Log, nil, 0, ring.NoReader, 1<<20); gap != nil {
		return gap.Reason
	}
	return ""
}

func TestLog_Append_drops(t *testing.T) {
	tests := []struct {
		name   string
		log    *log
		floor  uint64 // of readers
		swept  uint64 // by fan-out groups
		frames []string
		want   []uint64
		lost   uint64
		reason ring.GapReason
	}{
		{"nothing yet", newLog(3, 99), ring.NoReader, ring.NoReader, nil, nil, 0, ""},
		{"up to the limit", newLog(3, 99), ring.NoReader, ring.NoReader, []string{"a@1", "a@1", "a@1"}, []uint64{1, 2, 3}, 0, ""},
		{"too many", newLog(3, 99), ring.NoReader, ring.NoReader, []string{"a@1", "a@1", "a@1", "a@1"}, []uint64{2, 3, 4}, 1, ring.Overrun},
		{"too many, long wrapped around", newLog(3, 99), ring.NoReader, ring.NoReader, slices.Repeat([]string{"a@1"}, 50), []uint64{48, 49, 50}, 47, ring.Overrun},
		{"bytes up to the limit", newLog(9, 2), ring.NoReader, ring.NoReader, []string{"a@1", "a@1"}, []uint64{1, 2}, 0, ""},
		{"too many bytes", newLog(9, 2), ring.NoReader, ring.NoReader, []string{"a@1", "a@1", "a@1"}, []uint64{2, 3}, 1, ring.Overrun},
		{"one that is too large by itself", newLog(9, 0), ring.NoReader, ring.NoReader, []string{"a@1", "a@1"}, []uint64{2}, 1, ring.Overrun},
		{"not too old", newLog(9, 9), ring.NoReader, ring.NoReader, []string{"a@1", "a@1000"}, []uint64{1, 2}, 0, ""},
		{"too old", newLog(9, 9), ring.NoReader, ring.NoReader, []string{"a@1", "a@2", "a@1001"}, []uint64{2, 3}, 1, ring.Expired},
		{"too old, readers or not", newLog(9, 9), 0, 0, []string{"a@1", "a@2", "a@1001"}, []uint64{2, 3}, 1, ring.Expired},
		{"the clock goes back", newLog(2, 9), ring.NoReader, ring.NoReader, []string{"a@5000", "a@1", "a@1"}, []uint64{2, 3}, 1, ring.Overrun},
		{"held for a reader", newLog(1, 1), 0, ring.NoReader, []string{"a@1", "a@1", "a@1"}, []uint64{1, 2, 3}, 0, ""},
		{"held for a group", newLog(1, 1), ring.NoReader, 0, []string{"a@1", "a@1", "a@1"}, []uint64{1, 2, 3}, 0, ""},
		{"held from where the group is", newLog(1, 1), 3, 2, []string{"a@1", "a@1", "a@1", "a@1"}, []uint64{3, 4}, 2, ring.Overrun},
		{"held from where the reader is", newLog(1, 1), 2, 3, []string{"a@1", "a@1", "a@1", "a@1"}, []uint64{3, 4}, 2, ring.Overrun},
		{"a run message is no loss", newLog(1, 9), ring.NoReader, ring.NoReader, []string{"a@1", "$run@1", "a@1"}, []uint64{3}, 1, ring.Overrun},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := tt.log
			l.Floor, l.Swept = tt.floor, tt.swept
			l.add(tt.frames...)
			if got := l.positions(); !slices.Equal(got, tt.want) {
				t.Errorf("holds %v, want %v", got, tt.want)
			}
			if l.Lost() != tt.lost || l.reason() != tt.reason {
				t.Errorf("lost %d (%s), want %d (%s)", l.Lost(), l.reason(), tt.lost, tt.reason)
			}
			if l.Bytes() != int64(l.Len())*frameCost {
				t.Errorf("%d frames count as %d bytes", l.Len(), l.Bytes())
			}
			freed := l.Clear(ring.Expired)
			if freed != int64(len(tt.want))*frameCost || l.Bytes() != 0 || l.Len() != 0 {
				t.Errorf("clear freed %d: %+v", freed, l)
			}
		})
	}
}

func TestLog_Trim_expires(t *testing.T) {
	l := newLog(9, 9)
	l.Floor = 0 // a reader does not make them younger
	l.add("a@100", "a@200", "a@300")
	for _, tt := range []struct {
		now   int64
		freed int64
		left  int
	}{{1099, 0, 3}, {1100, 1, 2}, {1299, 1, 1}, {1300, 1, 0}, {1301, 0, 0}} {
		if freed := l.Trim(tt.now); freed != tt.freed*frameCost || l.Len() != tt.left {
			t.Errorf("at %d: freed %d, %d are left", tt.now, freed, l.Len())
		}
	}
}

func TestLog_LostOf(t *testing.T) {
	set := func(names ...string) schemas.TopicSet { return schemas.NewTopicSet(names) }
	l := newLog(3, 99)
	l.add("a@1", "b@1", "a@1", "$run@1", "c@1", "c@1", "c@1") // 5, 6, 7 are left, and 2 and 3 as the latest of their topics
	tests := []struct {
		topics schemas.TopicSet
		want   uint64
	}{
		{set(), 1}, {set("a"), 1}, {set("b"), 0}, {set("a", "b"), 1}, {set("c"), 0}, {set("d"), 0}, {set("b", "d"), 0},
	}
	for _, tt := range tests {
		if got := l.LostOf(tt.topics); got != tt.want {
			t.Errorf("%v: got %d, want %d", tt.topics.Names(), got, tt.want)
		}
	}
	l.Lose(1, ring.Expired)
	if l.Lost() != 1 || l.reason() != ring.Overrun || l.LostOf(set("d")) != 1 {
		t.Errorf("after an older loss: %+v", l)
	}
	l.Lose(9, ring.Expired)
	if l.Lost() != 9 || l.reason() != ring.Expired || l.LostOf(set("d")) != 9 {
		t.Errorf("after a newer loss: %+v", l)
	}
}

// TestLog_LostOf_manyTopics: a log remembers a bounded number of topics. Messages of a forgotten
// topic count as lost for every reader, so a loss may be reported too often but never too rarely.
func TestLog_LostOf_manyTopics(t *testing.T) {
	topic := func(i int) string { return fmt.Sprintf("t%03d", i) }
	l := newLog(2, 99)
	for i := range 1000 {
		l.add(topic(i) + "@1")
		if n := ring.Marks(&l.Log); n > ring.MaxMarks {
			t.Fatalf("%d marks after %d topics", n, i+1)
		}
	}
	for i := range 998 - 32 { // the latest messages of 32 topics are kept
		if lost := l.LostOf(schemas.NewTopicSet([]string{topic(i)})); lost < uint64(i+1) {
			t.Fatalf("%s was lost at %d, the log says %d", topic(i), i+1, lost)
		}
	}
	if lost := l.LostOf(schemas.NewTopicSet([]string{topic(999)})); lost >= 999 {
		t.Errorf("what is held is lost at %d", lost)
	}
	held := newLog(1000, 1000)
	for i := range 100 {
		held.add(topic(i) + "@1")
	}
	for i := range 100 {
		if lost := held.LostOf(schemas.NewTopicSet([]string{topic(i)})); lost != 0 {
			t.Fatalf("%s is lost at %d, and held", topic(i), lost)
		}
	}
}

func TestLog_After(t *testing.T) {
	empty := newLog(1, 1)
	if i := empty.After(0); i != 0 {
		t.Errorf("empty: %d", i)
	}
	for n := 1; n < 10; n++ {
		l := newLog(n, 99)
		l.add(slices.Repeat([]string{"a@1"}, 20)...)
		oldest := 20 - n + 1
		for seq := range uint64(25) {
			want := min(max(0, int(seq)-oldest+1), n)
			if got := l.After(seq); got != want {
				t.Errorf("%d of 20 held: after(%d) is %d, want %d", n, seq, got, want)
			}
		}
	}
}

func TestLog_FirstOf(t *testing.T) {
	l := newLog(9, 99)
	l.add("a@1", "b@1", "$run@1", "a@1", "b@1")
	for _, tt := range []struct {
		topic string
		seq   uint64
		want  uint64
	}{{"*", 0, 1}, {"*", 1, 2}, {"a", 0, 1}, {"a", 1, 3}, {"a", 3, 4}, {"a", 4, 0}, {"b", 3, 5}, {"c", 0, 3}, {"*", 5, 0}} {
		got, ok := l.FirstOf(schemas.NewTopicSet([]string{tt.topic}), tt.seq)
		if got != tt.want || ok != (tt.want > 0) {
			t.Errorf("%s after %d: got %d, %t, want %d", tt.topic, tt.seq, got, ok, tt.want)
		}
	}
}

func TestLog_Page(t *testing.T) {
	l := newLog(5, 99)
	l.add("a@1", "b@1", "a@1", "b@1", "a@1", "$run@1", "b@1") // 3 to 7 are left
	topics := func(names ...string) schemas.TopicSet { return schemas.NewTopicSet(names) }
	tests := []struct {
		name          string
		topics        schemas.TopicSet
		after, before uint64
		limit         int
		newest        bool
		want          []uint64
		more          bool
	}{
		{"all", topics(), 0, ring.NoReader, 9, false, []uint64{3, 4, 5, 6, 7}, false},
		{"all, newest first", topics(), 0, ring.NoReader, 9, true, []uint64{7, 6, 5, 4, 3}, false},
		{"exactly as many", topics(), 0, ring.NoReader, 5, false, []uint64{3, 4, 5, 6, 7}, false},
		{"some", topics(), 0, ring.NoReader, 2, false, []uint64{3, 4}, true},
		{"some, newest first", topics(), 0, ring.NoReader, 2, true, []uint64{7, 6}, true},
		{"after", topics(), 4, ring.NoReader, 2, false, []uint64{5, 6}, true},
		{"before, newest first", topics(), 0, 6, 2, true, []uint64{5, 4}, true},
		{"between", topics(), 4, 7, 9, false, []uint64{5, 6}, false},
		{"between, newest first", topics(), 4, 7, 9, true, []uint64{6, 5}, false},
		{"nothing between", topics(), 5, 6, 9, false, nil, false},
		{"the wrong way round", topics(), 6, 4, 9, false, nil, false},
		{"before the first", topics(), 0, 3, 9, false, nil, false},
		{"before all", topics(), 0, 0, 9, true, nil, false},
		{"after the last", topics(), 7, ring.NoReader, 9, false, nil, false},
		{"a topic", topics("a"), 0, ring.NoReader, 9, false, []uint64{3, 5}, false},
		{"a topic, some", topics("b"), 0, ring.NoReader, 1, false, []uint64{4}, true},
		{"a topic, newest first", topics("b"), 0, ring.NoReader, 1, true, []uint64{7}, true},
		{"a topic, the rest is not of it", topics("a"), 3, ring.NoReader, 1, false, []uint64{5}, false},
		{"run messages", topics("$run"), 0, ring.NoReader, 9, false, []uint64{6}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			frames, more := l.Page(tt.topics, tt.after, tt.before, tt.limit, tt.newest)
			var got []uint64
			for _, f := range frames {
				got = append(got, f.Seq)
			}
			if !slices.Equal(got, tt.want) || more != tt.more {
				t.Errorf("got %v, %t, want %v, %t", got, more, tt.want, tt.more)
			}
		})
	}
}
