package disk_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/disk"
	"github.com/sluicehq/sluice/broker/engine/enginetest"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// textModel is what was published to one channel.
type textModel struct {
	t      *testing.T
	n      *node
	name   string
	limits engine.Limits
	rng    *rand.Rand
	items  []*textItem // by their newest positions
	texts  int
	gone   uint64 // everything up to here was deleted
}

// textItem is a message, a text, or messages that are held as one.
type textItem struct {
	topic, stream string
	text          string
	key, sub      string // of messages that are held as one, "" for others: in what they agree
	all           []schemas.Message
	open          bool
}

func (it *textItem) last() schemas.Message { return it.all[len(it.all)-1] }

// Whatever happens, readers get texts whole and the latest message of each topic, or are told
// what is lost. The test publishes messages and texts, with clean ends, kills and deletions in
// between, and reads with the log of a broker that has loaded the channel.
func TestEngine_texts_model(t *testing.T) {
	for seed := range uint64(3) {
		for name, limits := range map[string]engine.Limits{
			"messages": {Messages: 8, Bytes: 4 << 20, Age: time.Hour, TextBytes: 1 << 20},
			"bytes":    {Messages: 1000, Bytes: 40_000, Age: time.Hour, TextBytes: 1 << 20},
			"long":     {Messages: 8, Bytes: 400_000, Age: time.Hour, TextBytes: 20_000},
		} {
			t.Run(fmt.Sprint(name, " seed ", seed), func(t *testing.T) {
				limits.Merge = enginetest.MergeRules(t)
				synctest.Test(t, func(t *testing.T) { publishTexts(t, limits, rand.New(rand.NewPCG(seed, 4))) })
			})
		}
	}
}

func publishTexts(t *testing.T, limits engine.Limits, rng *rand.Rand) {
	fs := vfs.NewCrashableMem()
	opts := disk.Options{RememberFor: 100 * time.Hour, SyncEvery: time.Hour}
	n := open(t, "d", opts.On(fs, "boot"))
	models := []*textModel{{name: "a"}, {name: "b"}}
	for _, m := range models {
		m.t, m.limits, m.rng = t, limits, rng
	}
	for range 120 {
		m := models[rng.IntN(2)]
		m.n = n
		switch what := rng.IntN(200); {
		case what < 180:
			for range 1 + rng.IntN(20) {
				m.publish()
			}
		case what < 184:
			time.Sleep(time.Duration(rng.IntN(int(30 * time.Minute))))
		case what < 185:
			m.delete()
		case what < 190:
			n.close()
			n = open(t, "d", opts.On(fs, "boot"))
		case what < 196: // a kill, which loses nothing
			fs = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng})
			n.close()
			n = open(t, "d", opts.On(fs, "boot"))
		default:
			if err := n.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		for _, m := range models {
			m.n = n
			m.compare()
		}
		if t.Failed() {
			break
		}
	}
	n.close()
}

// publish publishes a message or a piece of a text.
func (m *textModel) publish() {
	var open []*textItem
	for _, it := range m.items {
		if it.open {
			open = append(open, it)
		}
	}
	topic := []string{"tokens", "tokens", "tokens", "status", "draft", "log", "parts"}[m.rng.IntN(7)]
	switch what := m.rng.IntN(26); {
	case what >= 20:
		m.part()
	case what < 6:
		m.add(&textItem{topic: topic}, schemas.KindData, `{"x":1}`)
	case what < 9 && len(open) < 5:
		m.texts++
		it := &textItem{topic: topic, stream: fmt.Sprint("s", m.texts), open: true}
		if m.rng.IntN(4) > 0 {
			m.add(it, schemas.KindStreamStart, `{"a":"b"}`)
		} else {
			m.add(it, schemas.KindChunk, `"begun"`)
		}
	case len(open) == 0:
	case what < 11:
		it := open[m.rng.IntN(len(open))]
		it.open = false
		m.add(it, schemas.KindStreamEnd, `{"reason":"complete"}`)
	default:
		it := open[m.rng.IntN(len(open))]
		m.add(it, schemas.KindChunk, m.piece())
	}
}

// part publishes a part of an answer, which is held as one with those before it if they agree.
func (m *textModel) part() {
	id, text := "k"+"12"[m.rng.IntN(2):][:1], m.piece()
	data := fmt.Sprintf(`{"type":"delta","id":%q,"delta":%s}`, id, text)
	it := &textItem{topic: "parts", key: id}
	if m.rng.IntN(30) == 0 {
		it.sub = "me"
	}
	switch what := m.rng.IntN(30); {
	case what < 2:
		data = fmt.Sprintf(`{"n":%d,"type":"delta","id":%q,"delta":%s}`, what, id, text)
	case what == 2:
		data, text, it.key = fmt.Sprintf(`{"type":"delta","id":%q}`, id), `""`, ""
	}
	text = said(text)
	if len(text) > 8<<10 {
		it.key = ""
	}
	for _, newest := range slices.Backward(m.items) {
		if newest.topic == it.topic {
			if it.key != "" && newest.key == it.key && newest.sub == it.sub {
				it = newest
			}
			break
		}
	}
	it.text += text
	m.add(it, schemas.KindData, data)
}

// said returns what a JSON string says.
func said(quoted string) (text string) {
	if err := json.Unmarshal([]byte(quoted), &text); err != nil {
		panic(err)
	}
	return text
}

func (m *textModel) piece() string {
	n := m.rng.IntN(12)
	if m.rng.IntN(12) == 0 {
		n = m.rng.IntN(4000)
	}
	text := strings.Repeat("é\n\"x"[m.rng.IntN(4):], n)
	return string(schemas.AppendString(nil, strings.ToValidUTF8(text, "?")))
}

func (m *textModel) add(it *textItem, kind schemas.Kind, data string) {
	e := entry(m.name, it.topic, data)
	e.Kind, e.StreamID, e.Limits = kind, it.stream, m.limits
	if kind == schemas.KindChunk {
		e.Offset = int64(len(it.text))
		it.text += said(string(e.Data))
	}
	switch {
	case it.topic == "parts" && kind == schemas.KindData:
		e.Sub = it.sub
	case m.rng.IntN(50) == 0:
		e.Sub, e.RunID = "me", "run"
	}
	r := m.n.append(e)
	e.ID, e.CreatedAt = r.ID, r.CreatedAt
	it.all = append(it.all, e.Message)
	m.items = slices.DeleteFunc(m.items, func(o *textItem) bool { return o == it })
	m.items = append(m.items, it)
}

func (m *textModel) delete() {
	if _, err := m.n.Delete(m.t.Context(), schemas.Channel(m.name)); err != nil {
		m.t.Fatal(err)
	}
	if len(m.items) > 0 {
		m.gone = m.items[len(m.items)-1].last().ID.Seq
	}
	m.items = nil
}

func (m *textModel) compare() {
	m.t.Helper()
	kept := m.n.load(m.name)
	if err := m.n.Audit(schemas.Channel(m.name)); err != nil {
		m.t.Error(err)
	}
	m.losses(&kept)
	m.sizes(&kept)
	if m.limits.Messages == 8 && m.limits.TextBytes == 1<<20 {
		m.whole(&kept)
	}
	var log ring.Log
	log.Limits = m.limits
	log.Floor, log.Swept = ring.NoReader, ring.NoReader
	log.Merge(kept.Messages, kept.Lost, ring.Overrun)
	m.read(&log, m.rng.Uint64N(m.newest()+1))
	if m.limits.Messages == 8 && m.limits.TextBytes == 1<<20 {
		m.latest(&log)
	}
}

func (m *textModel) newest() uint64 {
	if len(m.items) == 0 {
		return m.gone
	}
	return m.items[len(m.items)-1].last().ID.Seq
}

func (m *textModel) expired(it *textItem) bool {
	return time.Now().UnixMilli() >= int64(it.last().CreatedAt)+m.limits.Age.Milliseconds()
}

// losses checks that what is not kept is lost, and that something was where the loss is.
func (m *textModel) losses(kept *engine.Snapshot) {
	m.t.Helper()
	have := make(map[uint64]schemas.Message, len(kept.Messages))
	for i, msg := range kept.Messages {
		if have[msg.ID.Seq] = msg; i > 0 && kept.Messages[i-1].ID.Seq >= msg.ID.Seq {
			m.t.Errorf("%s: %d comes after %d", m.name, msg.ID.Seq, kept.Messages[i-1].ID.Seq)
		}
	}
	exact := kept.Lost.Newest == 0 || kept.Lost.Newest == m.gone
	for _, it := range m.items {
		for _, want := range it.all {
			got, ok := have[want.ID.Seq]
			if !ok {
				exact = exact || it.last().ID.Seq == kept.Lost.Newest || want.ID.Seq == kept.Lost.Newest
				if want.ID.Seq > kept.Lost.Of(want.Topic) {
					m.t.Errorf("%s: %d is lost without a trace, lost %+v", m.name, want.ID.Seq, kept.Lost.Newest)
				}
			} else if !reflect.DeepEqual(got, want) {
				m.t.Errorf("%s: got %+v, want %+v", m.name, got, want)
			}
			delete(have, want.ID.Seq)
		}
	}
	if len(have) > 0 || !exact || kept.Lost.Newest < m.gone {
		m.t.Errorf("%s: lost %d, kept %d that were not published; deleted up to %d", m.name, kept.Lost.Newest, len(have), m.gone)
	}
}

// sizes checks that no more is kept than the limits allow, once for what counts and once for
// what is kept over them.
func (m *textModel) sizes(kept *engine.Snapshot) {
	m.t.Helper()
	items := make(map[uint64]*textItem)
	for _, it := range m.items {
		for _, msg := range it.all {
			items[msg.ID.Seq] = it
		}
	}
	bytes, count, texts := 0, 0, make(map[*textItem]int)
	for _, msg := range kept.Messages {
		it := items[msg.ID.Seq]
		if it == nil {
			continue
		}
		size := len(msg.Data)
		if it.key != "" {
			size -= len(`{"type":"delta","id":"k1","delta":""}`) // is stored once
		}
		if texts[it] == 0 {
			count++
		}
		bytes += size
		if texts[it] += max(1, size); int64(texts[it]) > 3*m.limits.TextBytes && len(it.all) > 1 {
			m.t.Errorf("%s: the text %s%s has %d bytes", m.name, it.stream, it.key, texts[it])
		}
	}
	if most := m.limits.Messages + 32; count > most {
		m.t.Errorf("%s: %d messages are kept, at most %d may be", m.name, count, most)
	}
	if int64(bytes) > 3*m.limits.Bytes {
		m.t.Errorf("%s: %d bytes are kept", m.name, bytes)
	}
}

// whole checks that the newest messages are there, the latest of each topic, and the texts
// that go on, and that no text is there in part.
func (m *textModel) whole(kept *engine.Snapshot) {
	m.t.Helper()
	have := make(map[uint64]bool)
	for _, msg := range kept.Messages {
		have[msg.ID.Seq] = true
	}
	seen := make(map[string]bool)
	for i, it := range slices.Backward(m.items) {
		latest := !seen[it.topic]
		seen[it.topic] = true
		wanted := len(m.items)-i <= m.limits.Messages || latest || it.open
		count := 0
		for _, msg := range it.all {
			if have[msg.ID.Seq] {
				count++
			}
		}
		expiredOnce := m.pausedTooLong(it)
		switch {
		case count == len(it.all) || m.expired(it) && count == 0:
		case wanted && !expiredOnce && !m.expired(it), count > 0 && !expiredOnce:
			m.t.Errorf("%s: of %s %q at %d, number %d from the end, %d of %d messages are kept", m.name, it.topic, it.stream,
				it.last().ID.Seq, len(m.items)-i, count, len(it.all))
		}
	}
}

// pausedTooLong reports whether a text was once older than the limit: then its beginning may
// have been dropped.
func (m *textModel) pausedTooLong(it *textItem) bool {
	for i := range it.all[1:] {
		if it.all[i+1].CreatedAt.Std().Sub(it.all[i].CreatedAt.Std()) >= m.limits.Age {
			return true
		}
	}
	return false
}

// read reads from a position on. Whatever the reader is not sent, it is told of.
func (m *textModel) read(log *ring.Log, position uint64) {
	m.t.Helper()
	frames, told := readAll(log, ring.NewReader(schemas.NewTopicSet(nil), 0, 0), position)
	for _, it := range m.items {
		m.joined(it, frames, told)
		text := ""
		for _, msg := range it.all {
			if msg.ID.Seq > position && msg.ID.Seq > told && !covered(frames, &msg) {
				m.t.Errorf("%s: a reader at %d is not sent %d, and told of a loss up to %d", m.name, position, msg.ID.Seq, told)
			}
		}
		for _, f := range frames {
			if it.stream == "" || f.StreamID != it.stream || f.Kind != schemas.KindChunk {
				continue
			}
			var piece string
			if err := json.Unmarshal(f.Data, &piece); err != nil || !strings.HasPrefix(it.text[min(len(it.text), int(f.Offset)):], piece) {
				m.t.Errorf("%s: %q is sent at %d of the text %s, %v", m.name, piece, f.Offset, it.stream, err)
			}
			text += piece
		}
		if !strings.HasSuffix(it.text, text) && told == 0 {
			m.t.Errorf("%s: of the text %s, %d bytes are sent", m.name, it.stream, len(text))
		}
	}
}

// joined checks what a reader is sent of messages that are held as one: their end.
func (m *textModel) joined(it *textItem, frames []sent, told uint64) {
	m.t.Helper()
	if it.key == "" {
		return
	}
	text := ""
	for _, f := range frames {
		if f.Topic == "parts" && f.Kind == schemas.KindData && f.first >= it.all[0].ID.Seq && f.ID.Seq <= it.last().ID.Seq {
			var part struct{ Delta string }
			if err := json.Unmarshal(f.Data, &part); err != nil {
				m.t.Error(err)
			}
			text += part.Delta
		}
	}
	if !strings.HasSuffix(it.text, text) && told == 0 {
		m.t.Errorf("%s: of the messages up to %d, %d bytes are sent that are not the last of %d", m.name, it.last().ID.Seq, len(text), len(it.text))
	}
}

// sent is a frame that a reader was sent.
type sent struct {
	schemas.Message
	first uint64
}

func covered(frames []sent, m *schemas.Message) bool {
	i, _ := slices.BinarySearchFunc(frames, m.ID.Seq, func(f sent, seq uint64) int { return cmp.Compare(f.ID.Seq, seq) })
	return i < len(frames) && frames[i].first <= m.ID.Seq && frames[i].StreamID == m.StreamID && frames[i].Topic == m.Topic
}

// readAll returns what a reader is sent, and up to where it is told of losses.
func readAll(log *ring.Log, r ring.Reader, position uint64) (frames []sent, told uint64) {
	for {
		if gap := r.Fill(log, nil, position, math.MaxUint64, 1<<20); gap != nil {
			told = max(told, gap.Newest)
		}
		if r.Empty() {
			return frames, told
		}
		for !r.Empty() {
			first := r.Peek()
			f := r.Next(math.MaxUint64)
			s := sent{first: first}
			if err := json.Unmarshal(f.Message(), &s.Message); err != nil {
				panic(err)
			}
			s.ID.Seq = f.Seq
			frames = append(frames, s)
			position = f.Seq
		}
	}
}

// latest checks what a reader is sent that asks for the latest message of each topic.
func (m *textModel) latest(log *ring.Log) {
	m.t.Helper()
	replay, err := ring.ParseReplay("latest")
	if err != nil {
		m.t.Fatal(err)
	}
	r := ring.NewReader(schemas.NewTopicSet(nil), 0, 0)
	position := m.newest()
	if first, some := r.Select(log, replay); some {
		position = min(position, first-1)
	}
	frames, _ := readAll(log, r, position)
	seen := make(map[string]bool)
	for _, it := range slices.Backward(m.items) {
		latest := !seen[it.topic]
		seen[it.topic] = true
		if (!latest && !it.open) || m.expired(it) || m.pausedTooLong(it) {
			continue
		}
		for _, msg := range it.all {
			if !covered(frames, &msg) {
				m.t.Errorf("%s: %s %q at %d is not sent as the latest", m.name, it.topic, it.stream, msg.ID.Seq)
				break
			}
		}
	}
}

// A text that was stored piece by piece, before format 3, and goes on since, is read as one.
func TestEngine_texts_olderFormat(t *testing.T) {
	n := open(t, t.TempDir(), disk.Options{})
	n.put("a", "1")
	was := entry("a", "t", `"be"`).Message
	was.ID.Seq, was.Kind, was.StreamID, was.CreatedAt = 2, schemas.KindChunk, "s", schemas.TimeOf(time.Now())
	if err := n.Set(disk.MessageKey("a", 2), disk.Encode(was)); err != nil {
		t.Fatal(err)
	}
	n.put("b", "1") // takes position 2
	e := entry("a", "t", `"gun"`)
	e.Kind, e.StreamID, e.Offset = schemas.KindChunk, "s", 2
	n.append(e)
	e.Kind, e.Data = schemas.KindStreamEnd, []byte(`{}`)
	n.append(e)
	n.want("a", `lost 0: 1=1 2="be" 3="gun" 4={}`)
	if text, _, ended := enginetest.Joined(t, n.load("a"), "s"); text != "begun" || !ended {
		t.Errorf("read %q", text)
	}
	if found, err := n.Delete(t.Context(), "a"); !found || err != nil {
		t.Error(found, err)
	}
	if n.Keys('m') != 1 || n.Keys('t') != 0 || n.Keys('o') != 0 {
		t.Errorf("left: %d messages, %d segments, %d texts", n.Keys('m'), n.Keys('t'), n.Keys('o'))
	}
}

// Nothing of a text is left behind when it is dropped, by whatever limit.
func TestEngine_texts_leftovers(t *testing.T) {
	for name, limits := range map[string]engine.Limits{
		"messages": {Messages: 2, Bytes: 1 << 20, Age: time.Hour, TextBytes: 1 << 20},
		"bytes":    {Messages: 1000, Bytes: 50_000, Age: time.Hour, TextBytes: 1 << 20},
		"age":      {Messages: 1000, Bytes: 1 << 20, Age: time.Minute, TextBytes: 1 << 20},
		"long":     {Messages: 1000, Bytes: 1 << 20, Age: time.Minute, TextBytes: 10_000},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, inMemory(), func(t *testing.T, n *node) {
				for i := range 200 {
					e := entry("a", "t", `{}`)
					e.Limits, e.StreamID = limits, fmt.Sprint("s", i)
					e.Kind = schemas.KindStreamStart
					n.append(e)
					e.Kind, e.Data = schemas.KindChunk, []byte(`"`+strings.Repeat("x", 3000)+`"`)
					for range 1 + i%9 {
						n.append(e)
						e.Offset += 3000
					}
					if e.Kind, e.Data = schemas.KindStreamEnd, []byte(`{}`); i%20 > 0 {
						n.append(e)
					}
					time.Sleep(time.Second)
				}
				kept := n.load("a")
				t.Logf("%d messages, %d segments, %d texts, %d bytes", n.Keys('m'), n.Keys('t'), n.Keys('o'), n.Stats().KeptBytes)
				if stored := n.Stats().KeptBytes; stored > 2*limits.Bytes+1<<20 || len(kept.Messages) == 0 {
					t.Errorf("%d bytes are stored, %d messages kept", stored, len(kept.Messages))
				}
				time.Sleep(2 * limits.Age)
				if n.Keys('m') != 0 || n.Keys('t') != 0 || n.Keys('o') != 0 || n.Stats().KeptBytes != 0 {
					t.Errorf("left: %d messages, %d segments, %d texts, %d bytes", n.Keys('m'), n.Keys('t'), n.Keys('o'), n.Stats().KeptBytes)
				}
				if kept := n.load("a"); kept.Lost.Newest == 0 || len(kept.Messages) > 0 {
					t.Errorf("kept %s", brief(kept))
				}
			})
		})
	}
}
