package broker

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// newLog returns a log with a limit of messages and of bytes, for frames of 104
// bytes.
func newLog(messages, frames int) *log {
	return &log{limits: Limits{Messages: messages, Bytes: int64(frames) * testFrame, Age: time.Second}, floor: nobody, passed: nobody}
}

const testFrame = frameOverhead + 8

// add appends frames; each is written as topic@time. Positions count from 1. A
// topic $run makes a run message.
func (l *log) add(frames ...string) {
	for _, text := range frames {
		topic, at, _ := strings.Cut(text, "@")
		f := frame{seq: l.last + 1, mark: l.mark(schemas.Topic(topic)), kind: schemas.KindData, bytes: make([]byte, 8)}
		_, _ = fmt.Sscan(at, &f.at)
		if topic == "$run" {
			f.kind = schemas.KindRun
		}
		l.append(f)
	}
}

func (l *log) positions() []uint64 {
	var held []uint64
	for i := range l.count {
		held = append(held, l.at(i).seq)
	}
	return held
}

func TestLog_append_drops(t *testing.T) {
	tests := []struct {
		name   string
		log    *log
		floor  uint64 // of readers
		passed uint64 // by crowds
		frames []string
		want   []uint64
		lost   uint64
		reason gapReason
	}{
		{"nothing yet", newLog(3, 99), nobody, nobody, nil, nil, 0, ""},
		{"up to the limit", newLog(3, 99), nobody, nobody, []string{"a@1", "a@1", "a@1"}, []uint64{1, 2, 3}, 0, ""},
		{"too many", newLog(3, 99), nobody, nobody, []string{"a@1", "a@1", "a@1", "a@1"}, []uint64{2, 3, 4}, 1, gapOverrun},
		{"too many, long wrapped around", newLog(3, 99), nobody, nobody, slices.Repeat([]string{"a@1"}, 50), []uint64{48, 49, 50}, 47, gapOverrun},
		{"bytes up to the limit", newLog(9, 2), nobody, nobody, []string{"a@1", "a@1"}, []uint64{1, 2}, 0, ""},
		{"too many bytes", newLog(9, 2), nobody, nobody, []string{"a@1", "a@1", "a@1"}, []uint64{2, 3}, 1, gapOverrun},
		{"one that is too large by itself", newLog(9, 0), nobody, nobody, []string{"a@1", "a@1"}, []uint64{2}, 1, gapOverrun},
		{"not too old", newLog(9, 9), nobody, nobody, []string{"a@1", "a@1000"}, []uint64{1, 2}, 0, ""},
		{"too old", newLog(9, 9), nobody, nobody, []string{"a@1", "a@2", "a@1001"}, []uint64{2, 3}, 1, gapExpired},
		{"too old, readers or not", newLog(9, 9), 0, 0, []string{"a@1", "a@2", "a@1001"}, []uint64{2, 3}, 1, gapExpired},
		{"the clock goes back", newLog(2, 9), nobody, nobody, []string{"a@5000", "a@1", "a@1"}, []uint64{2, 3}, 1, gapOverrun},
		{"held for a reader", newLog(1, 1), 0, nobody, []string{"a@1", "a@1", "a@1"}, []uint64{1, 2, 3}, 0, ""},
		{"held for a crowd", newLog(1, 1), nobody, 0, []string{"a@1", "a@1", "a@1"}, []uint64{1, 2, 3}, 0, ""},
		{"held from where the crowd is", newLog(1, 1), 3, 2, []string{"a@1", "a@1", "a@1", "a@1"}, []uint64{3, 4}, 2, gapOverrun},
		{"held from where the reader is", newLog(1, 1), 2, 3, []string{"a@1", "a@1", "a@1", "a@1"}, []uint64{3, 4}, 2, gapOverrun},
		{"a run message is no loss", newLog(1, 9), nobody, nobody, []string{"a@1", "$run@1", "a@1"}, []uint64{3}, 1, gapOverrun},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := tt.log
			l.floor, l.passed = tt.floor, tt.passed
			l.add(tt.frames...)
			if got := l.positions(); !slices.Equal(got, tt.want) {
				t.Errorf("holds %v, want %v", got, tt.want)
			}
			if l.lost != tt.lost || l.reason != tt.reason {
				t.Errorf("lost %d (%s), want %d (%s)", l.lost, l.reason, tt.lost, tt.reason)
			}
			if l.bytes != int64(l.count)*testFrame {
				t.Errorf("%d frames count as %d bytes", l.count, l.bytes)
			}
			freed := l.clear(gapExpired)
			if freed != int64(len(tt.want))*testFrame || l.bytes != 0 || l.count != 0 || l.ring != nil || l.lost != max(tt.lost, l.lost) {
				t.Errorf("clear freed %d: %+v", freed, l)
			}
		})
	}
}

func TestLog_trim_expires(t *testing.T) {
	l := newLog(9, 9)
	l.floor = 0 // a reader does not make them younger
	l.add("a@100", "a@200", "a@300")
	for _, tt := range []struct {
		now   int64
		freed int64
		left  int
	}{{1099, 0, 3}, {1100, 1, 2}, {1299, 1, 1}, {1300, 1, 0}, {1301, 0, 0}} {
		if freed := l.trim(tt.now); freed != tt.freed*testFrame || l.count != tt.left {
			t.Errorf("at %d: freed %d, %d are left", tt.now, freed, l.count)
		}
	}
}

func TestLimits_ageMillis(t *testing.T) {
	for age, want := range map[time.Duration]int64{1: 1, time.Millisecond: 1, 1500 * time.Microsecond: 1, time.Minute: 60_000} {
		if got := (Limits{Age: age}).ageMillis(); got != want {
			t.Errorf("%v: got %d, want %d", age, got, want)
		}
	}
}

func TestLog_lostOf(t *testing.T) {
	set := func(names ...string) schemas.TopicSet { return schemas.NewTopicSet(names) }
	l := newLog(3, 99)
	l.add("a@1", "b@1", "a@1", "$run@1", "c@1", "c@1", "c@1") // 5, 6, 7 are left
	tests := []struct {
		topics schemas.TopicSet
		want   uint64
	}{
		{set(), 3}, {set("a"), 3}, {set("b"), 2}, {set("a", "b"), 3}, {set("c"), 0}, {set("d"), 0}, {set("b", "d"), 2},
	}
	for _, tt := range tests {
		if got := l.lostOf(tt.topics); got != tt.want {
			t.Errorf("%v: got %d, want %d", tt.topics.Names(), got, tt.want)
		}
	}
	l.lose(2, gapExpired)
	if l.lost != 3 || l.reason != gapOverrun || l.lostOf(set("d")) != 2 {
		t.Errorf("after an older loss: %+v", l)
	}
	l.lose(9, gapExpired)
	if l.lost != 9 || l.reason != gapExpired || l.lostOf(set("d")) != 9 {
		t.Errorf("after a newer loss: %+v", l)
	}
}

// TestLog_mark_many: a log remembers a bounded number of topics, and a topic
// that it has forgotten counts as lost for everybody: said too often, never too
// rarely.
func TestLog_mark_many(t *testing.T) {
	l := newLog(2, 99)
	for i := range 1000 {
		l.add(fmt.Sprintf("t%d@1", i))
		if len(l.marks) > maxMarks {
			t.Fatalf("%d marks after %d topics", len(l.marks), i+1)
		}
	}
	for i := range 998 {
		if lost := l.lostOf(schemas.NewTopicSet([]string{fmt.Sprint("t", i)})); lost < uint64(i+1) {
			t.Fatalf("t%d was lost at %d, the log says %d", i, i+1, lost)
		}
	}
	if lost := l.lostOf(schemas.NewTopicSet([]string{"t999"})); lost >= 999 {
		t.Errorf("what is held is lost at %d", lost)
	}
	held := newLog(1000, 1000)
	for i := range 100 {
		held.add(fmt.Sprintf("t%d@1", i))
	}
	for i := range 100 {
		if f := held.at(i); f.mark.held != 1 || !slices.Contains(held.marks, f.mark) {
			t.Fatalf("the mark of t%d is gone while its message is held", i)
		}
	}
}

func TestLog_after(t *testing.T) {
	empty := newLog(1, 1)
	if i := empty.after(0); i != 0 {
		t.Errorf("empty: %d", i)
	}
	for n := 1; n < 10; n++ {
		l := newLog(n, 99)
		l.add(slices.Repeat([]string{"a@1"}, 20)...)
		oldest := 20 - n + 1
		for seq := range uint64(25) {
			want := min(max(0, int(seq)-oldest+1), n)
			if got := l.after(seq); got != want {
				t.Errorf("%d of 20 held: after(%d) is %d, want %d", n, seq, got, want)
			}
		}
	}
}

func TestLog_firstOf(t *testing.T) {
	l := newLog(9, 99)
	l.add("a@1", "b@1", "$run@1", "a@1", "b@1")
	for _, tt := range []struct {
		topic string
		seq   uint64
		want  uint64
	}{{"*", 0, 1}, {"*", 1, 2}, {"a", 0, 1}, {"a", 1, 3}, {"a", 3, 4}, {"a", 4, 0}, {"b", 3, 5}, {"c", 0, 3}, {"*", 5, 0}} {
		got, ok := l.firstOf(schemas.NewTopicSet([]string{tt.topic}), tt.seq)
		if got != tt.want || ok != (tt.want > 0) {
			t.Errorf("%s after %d: got %d, %t, want %d", tt.topic, tt.seq, got, ok, tt.want)
		}
	}
}

func TestLog_page(t *testing.T) {
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
		{"all", topics(), 0, nobody, 9, false, []uint64{3, 4, 5, 6, 7}, false},
		{"all, newest first", topics(), 0, nobody, 9, true, []uint64{7, 6, 5, 4, 3}, false},
		{"exactly as many", topics(), 0, nobody, 5, false, []uint64{3, 4, 5, 6, 7}, false},
		{"some", topics(), 0, nobody, 2, false, []uint64{3, 4}, true},
		{"some, newest first", topics(), 0, nobody, 2, true, []uint64{7, 6}, true},
		{"after", topics(), 4, nobody, 2, false, []uint64{5, 6}, true},
		{"before, newest first", topics(), 0, 6, 2, true, []uint64{5, 4}, true},
		{"between", topics(), 4, 7, 9, false, []uint64{5, 6}, false},
		{"between, newest first", topics(), 4, 7, 9, true, []uint64{6, 5}, false},
		{"nothing between", topics(), 5, 6, 9, false, nil, false},
		{"the wrong way round", topics(), 6, 4, 9, false, nil, false},
		{"before the first", topics(), 0, 3, 9, false, nil, false},
		{"before all", topics(), 0, 0, 9, true, nil, false},
		{"after the last", topics(), 7, nobody, 9, false, nil, false},
		{"a topic", topics("a"), 0, nobody, 9, false, []uint64{3, 5}, false},
		{"a topic, some", topics("b"), 0, nobody, 1, false, []uint64{4}, true},
		{"a topic, newest first", topics("b"), 0, nobody, 1, true, []uint64{7}, true},
		{"a topic, the rest is not of it", topics("a"), 3, nobody, 1, false, []uint64{5}, false},
		{"run messages", topics("$run"), 0, nobody, 9, false, []uint64{6}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			frames, more := l.page(Query{Topics: tt.topics, Limit: tt.limit, Newest: tt.newest}, tt.after, tt.before)
			var got []uint64
			for _, f := range frames {
				got = append(got, f.seq)
			}
			if !slices.Equal(got, tt.want) || more != tt.more {
				t.Errorf("got %v, %t, want %v, %t", got, more, tt.want, tt.more)
			}
		})
	}
}
