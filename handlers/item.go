package handlers

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/internal/strictjson"
	"github.com/sluicehq/sluice/schemas"
)

// item is one message of a batch as it was sent: the raw JSON of each member, nil for a
// missing one.
type item struct {
	channel, topic, data, runID, key, traceparent []byte
	faults                                        []schemas.FieldError
}

// publishItem publishes one message of a batch. key is the key in the header of the request,
// "" for none.
func (a *api) publishItem(c echo.Context, line []byte, key string) (schemas.Receipt, error) {
	b := a.buffers.get()
	defer a.buffers.put(b)
	p, err := a.readPublication(c, b, line, key)
	if err != nil {
		return schemas.Receipt{}, err
	}
	return a.put(c.Request().Context(), request(c), p)
}

// readPublication reads one message of a batch, with the rights of the request. Its JSON is
// checked once, when white space is removed; after that it is only cut into pieces. The data of
// the publication is part of b.
func (a *api) readPublication(c echo.Context, b *bytes.Buffer, line []byte, key string) (broker.Publication, error) {
	if int64(len(line)) > a.bodyLimit() {
		return broker.Publication{}, fmt.Errorf("%w: the body has more than %d bytes", ErrTooLarge, a.bodyLimit())
	}
	if err := compact(b, line); err != nil {
		return broker.Publication{}, err
	}
	p, err := readItem(b.Bytes())
	if err != nil {
		return broker.Publication{}, err
	}
	if key != "" && p.Key != "" && key != p.Key {
		return broker.Publication{}, fmt.Errorf("%w: idempotency_key is not the Idempotency-Key of the header", ErrMalformed)
	}
	who := principal(c)
	p.Key, p.Sub, p.Traceparent = cmp.Or(p.Key, key), who.Subject, cmp.Or(p.Traceparent, traceparent(c))
	return p, mayPublish(who, p.Channel, p.Topic)
}

// maxAtOnce is how many messages of one array are published at the same time.
const maxAtOnce = 256

// itemResult is what becomes of one message of an array.
type itemResult struct {
	receipt schemas.Receipt
	err     error
}

// publishItems publishes messages in order, but not one after the other: each is given to the
// engine once the one before has its place, see [broker.Publication]. So an engine that writes in
// groups needs as few writes as if the messages had come in requests of their own.
//
// After [broker.ErrBusy], the rest of the channel's messages have that error, too: each of them
// would have to wait as long.
func (a *api) publishItems(c echo.Context, items []json.RawMessage) []itemResult {
	results := make([]itemResult, len(items))
	busy := make(map[schemas.Channel]bool)
	room := make(chan struct{}, maxAtOnce)
	var all sync.WaitGroup
	for i, item := range items {
		b := a.buffers.get()
		p, err := a.readPublication(c, b, item, "")
		if err == nil && busy[p.Channel] {
			results[i].receipt, err = a.recall(c.Request().Context(), p, broker.ErrBusy)
		} else if err == nil {
			room <- struct{}{}
			placed := make(chan error, 1)
			p.Placed = func() { placed <- nil }
			all.Go(func() { // ends with the publish
				receipt, err := a.put(c.Request().Context(), request(c), p)
				results[i] = itemResult{receipt, err}
				a.buffers.put(b)
				select {
				case placed <- err:
				default: // it had its place long ago
				}
				<-room
			})
			busy[p.Channel] = errors.Is(<-placed, broker.ErrBusy)
			continue
		}
		results[i].err = err
		a.buffers.put(b)
	}
	all.Wait()
	return results
}

// readItem reads an item and returns all its faults in one error. The data of the
// publication is part of value, which is valid JSON.
func readItem(value []byte) (broker.Publication, error) {
	var p broker.Publication
	var it item
	if kind := strictjson.KindOf(value); kind != strictjson.Object {
		it.fault("", errors.New(cannotBe(kind.String())))
		return p, &fieldsError{it.faults}
	}
	it.split(value)
	p.Channel = parsed(&it, "/channel", it.channel, schemas.ParseChannel)
	p.Topic = parsed(&it, "/topic", it.topic, schemas.ParseTopic)
	p.RunID = parsed(&it, "/run_id", it.runID, schemas.ParseRunID)
	if it.key != nil && strictjson.KindOf(it.key) != strictjson.Null {
		p.Key = parsed(&it, "/idempotency_key", it.key, schemas.ParseKey)
	}
	if it.traceparent != nil {
		// An invalid one is as good as none, as in the header.
		p.Traceparent = parsed(&it, "/traceparent", it.traceparent, func(s string) (string, error) { return schemas.ParseTraceparent(s), nil })
	}
	if p.Data = it.data; it.data == nil {
		it.fault("/data", errors.New("is missing"))
	}
	if it.faults != nil {
		return p, &fieldsError{it.faults}
	}
	return p, nil
}

// split assigns the members of an object to the fields of the item.
func (it *item) split(object []byte) {
	var strange []string
	for name, raw := range strictjson.Members(object) {
		if len(it.faults) == maxFaults {
			return
		}
		place := it.place(name)
		switch {
		case place == nil && !slices.Contains(strange, string(name)):
			strange = append(strange, string(name))
			it.fault(pointerTo(string(name)), errors.New("is unknown here"))
		case place == nil:
		case *place != nil:
			it.fault(pointerTo(string(name)), errors.New("stands there twice"))
		default:
			*place = raw
		}
	}
}

// place returns the field for the member with that name, nil if the name is unknown.
func (it *item) place(name []byte) *[]byte {
	switch string(name) {
	case "channel":
		return &it.channel
	case "topic":
		return &it.topic
	case "data":
		return &it.data
	case "run_id":
		return &it.runID
	case "idempotency_key":
		return &it.key
	case "traceparent":
		return &it.traceparent
	}
	return nil
}

func (it *item) fault(pointer string, err error) {
	it.faults = append(it.faults, schemas.FieldError{Pointer: pointer, Detail: sentence(err)})
}

// parsed returns the value of a member, which must be a string that parse accepts. Null
// and a missing member count as the empty string.
func parsed[T any](it *item, pointer string, raw []byte, parse func(string) (T, error)) T {
	text := ""
	switch kind := strictjson.KindOf(raw); kind {
	case strictjson.String:
		text = strictjson.Text(raw)
	case strictjson.Null:
	default:
		var none T
		it.fault(pointer, errors.New(cannotBe(kind.String())))
		return none
	}
	v, err := parse(text)
	if err != nil {
		it.fault(pointer, err)
	}
	return v
}
