package nats

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice/broker/facts"

	natsio "github.com/nats-io/nats.go"
)

// goneFor is how long it is remembered that a fact holds no longer. A node that was
// cut off for longer must be started again.
const goneFor = 30 * 24 * time.Hour

// Facts is a [facts.Store] in a stream of its own, with the newest record of each fact.
// Every node reads it in the order of positions.
type Facts struct {
	engine *Engine
	log    *journal
	birth  string // of the stream
	prefix string // of subjects
	live   string // where a record comes again, the stream's own subjects in place of it

	telling sync.Mutex // held by Tell: one at a time

	mu      sync.Mutex
	walker  *walker          // guarded by mu; nil: not watched yet
	verdict map[uint64]error // guarded by mu; what apply said, by position, while Tell waits
	apply   facts.Apply      // set by Watch before the walker
	watched bool             // guarded by mu
}

func openFacts(ctx context.Context, e *Engine, calls *caller) (*Facts, error) {
	config := baseConfig(e.opts.Name + "-facts")
	config.Description = "facts of sluice"
	f := &Facts{engine: e, prefix: e.opts.Name + ".facts.", live: e.opts.Name + ".told."}
	config.Subjects = []string{f.prefix + ">"}
	config.Again = &republish{f.prefix + ">", f.live + ">"}
	config.MaxPer = 1
	f.log = &journal{caller: calls, stream: config.Name}
	state, err := e.ensure(ctx, f.log, config)
	if err != nil {
		return nil, err
	}
	f.birth = state.birth()
	return f, nil
}

func (f *Facts) subject(kind facts.Kind, name string) string {
	return f.prefix + string(kind) + "." + base64.RawURLEncoding.EncodeToString([]byte(name))
}

// Claim implements [facts.Store]. It belongs to the start of a node, and has as much
// patience with a cluster as [Open].
func (f *Facts) Claim(ctx context.Context, fact facts.Fact) (kept facts.Fact, err error) {
	if err := checkFact(fact); err != nil {
		return facts.Fact{}, err
	}
	limited, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	if err := patiently(limited, func(ctx context.Context) (err error) {
		kept, err = f.claim(ctx, fact)
		return err
	}); err != nil {
		return facts.Fact{}, f.failed(ctx, err)
	}
	return kept, nil
}

// claim is one attempt of Claim. One that was stored and not answered is found by the
// next.
func (f *Facts) claim(ctx context.Context, fact facts.Fact) (facts.Fact, error) {
	kept, position, err := f.kept(ctx, fact)
	if err != nil || position > 0 && !kept.Gone {
		return kept, err
	}
	_, err = f.store(ctx, fact, position)
	return fact, err
}

// shardKind is of facts that are the births of the other shards' streams, named by the
// epoch that all share and the shard.
const shardKind = facts.Kind("shard")

// Belongs reports an error if the stream of another shard was made anew, and that of
// shard 0 was not: its positions begin again, and no id from before would tell.
func (f *Facts) Belongs(ctx context.Context, shard *Engine) error {
	name := strconv.FormatUint(shard.epoch, 36) + "." + strconv.Itoa(shard.opts.Shard)
	kept, err := f.Claim(ctx, facts.Fact{Kind: shardKind, Name: name, Value: []byte(shard.birth)})
	if err != nil {
		return err
	}
	if string(kept.Value) != shard.birth {
		return fmt.Errorf("nats: the stream %s was made anew alone: those of all shards must be made anew together", shard.log.stream)
	}
	return nil
}

// Watch implements [facts.Store].
func (f *Facts) Watch(ctx context.Context, apply facts.Apply) error {
	f.mu.Lock()
	if f.watched {
		f.mu.Unlock()
		return errors.New("nats: facts are watched already")
	}
	f.watched = true
	f.mu.Unlock()
	f.apply = apply
	w := newWalker(f.log, f.prefix+">", f.visit(true))
	if _, err := f.engine.conn.Subscribe(f.live+">", func(*natsio.Msg) { w.poke() }); err != nil {
		return f.failed(ctx, err)
	}
	limited, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	if err := patiently(limited, w.catchUp); err != nil {
		return f.failed(ctx, err)
	}
	w.visit = f.visit(false)
	f.mu.Lock()
	f.walker = w
	f.mu.Unlock()
	f.engine.running.Go(func() { w.run(f.engine.life, f.engine.opts.Log) }) // until the engine is closed
	return nil
}

// visit returns what takes a record. At the start there is nothing that a fact which
// holds no longer could change.
func (f *Facts) visit(start bool) func(stored) {
	return func(s stored) {
		fact, err := f.read(s)
		if err == nil && (fact.Gone && start || expired(fact)) {
			return
		}
		if err == nil {
			err = f.apply(fact)
		}
		f.mu.Lock()
		waited := f.verdict != nil
		if waited {
			f.verdict[s.seq] = err
		}
		f.mu.Unlock()
		if err != nil && !waited {
			f.engine.opts.Log.Error("fact that does not hold here", slog.String("kind", string(fact.Kind)), slog.Any("error", err))
		}
	}
}

// Tell implements [facts.Store].
func (f *Facts) Tell(ctx context.Context, fact facts.Fact) error {
	if err := checkFact(fact); err != nil {
		return err
	}
	if err := f.engine.usable(); err != nil {
		return f.failed(ctx, err)
	}
	f.telling.Lock()
	defer f.telling.Unlock()
	limited, cancel := context.WithTimeout(ctx, f.engine.opts.Timeout)
	defer cancel()
	w, err := f.await()
	if err != nil {
		return err
	}
	defer f.awaitNoMore()
	before, position, err := f.kept(limited, fact)
	if err != nil {
		return f.failed(ctx, err)
	}
	told, err := f.tell(limited, fact, position)
	if err != nil {
		return f.failed(ctx, err)
	}
	if err := w.passes(limited, told); err != nil {
		return f.failed(ctx, err)
	}
	if err := f.verdictOn(told); err != nil {
		return errors.Join(err, f.failed(ctx, f.takeBack(limited, fact, before, position, told)))
	}
	return nil
}

// tell stores fact after the record at a position, or after one that has come
// meanwhile: the last word counts.
func (f *Facts) tell(ctx context.Context, fact facts.Fact, after uint64) (uint64, error) {
	var pause backoff
	for {
		told, err := f.store(ctx, fact, after)
		if code := codeOf(err); code != codeWrongSequence && code != codeBusySubject {
			return told, err
		}
		if err := pause.wait(ctx); err != nil {
			return 0, err
		}
		if _, after, err = f.kept(ctx, fact); err != nil {
			return 0, err
		}
	}
}

// takeBack puts in the place of a fact that cannot hold what held before, unless
// something else is there already.
func (f *Facts) takeBack(ctx context.Context, fact, before facts.Fact, position, told uint64) error {
	if position == 0 || expired(before) {
		before = facts.Fact{Kind: fact.Kind, Name: fact.Name, Gone: true}
	}
	_, err := f.store(ctx, before, told)
	if codeOf(err) == codeWrongSequence {
		return nil
	}
	return err
}

// await begins to keep what apply says.
func (f *Facts) await() (*walker, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.walker == nil {
		return nil, fmt.Errorf("%w: nobody watches yet", facts.ErrUnavailable)
	}
	f.verdict = make(map[uint64]error)
	return f.walker, nil
}

func (f *Facts) awaitNoMore() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.verdict = nil
}

func (f *Facts) verdictOn(position uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.verdict[position]
}

// kept returns the record of a fact and its position, 0 if there is none.
func (f *Facts) kept(ctx context.Context, fact facts.Fact) (facts.Fact, uint64, error) {
	s, found, err := f.log.last(ctx, f.subject(fact.Kind, fact.Name))
	if err != nil || !found {
		return facts.Fact{}, 0, err
	}
	kept, err := f.read(s)
	return kept, s.seq, err
}

// store stores a fact as the record that comes after the one at a position.
func (f *Facts) store(ctx context.Context, fact facts.Fact, after uint64) (uint64, error) {
	m := &natsio.Msg{
		Subject: f.subject(fact.Kind, fact.Name), Data: encodeFact(fact),
		Header: natsio.Header{headerExpected: {fmt.Sprint(after)}},
	}
	switch {
	case fact.Gone:
		m.Header.Set(headerTTL, ttl(goneFor))
	case !fact.Until.IsZero():
		m.Header.Set(headerTTL, ttl(max(time.Until(fact.Until), time.Second)))
	}
	return f.log.publish(ctx, m)
}

// read reads a record.
func (f *Facts) read(s stored) (facts.Fact, error) {
	kind, name, _ := strings.Cut(strings.TrimPrefix(s.subject, f.prefix), ".")
	text, err := base64.RawURLEncoding.DecodeString(name)
	if err != nil {
		return facts.Fact{}, fmt.Errorf("nats: a record that is no fact: %w", err)
	}
	fact, err := decodeFact(s.data)
	fact.Kind, fact.Name = facts.Kind(kind), string(text)
	return fact, err
}

// failed returns the error of the caller's context, or ErrUnavailable.
func (f *Facts) failed(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	return fmt.Errorf("%w: %w", facts.ErrUnavailable, err)
}
