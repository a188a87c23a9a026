package handlers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/schemas"
)

// item is one message of a batch as it was sent: the raw JSON of each member,
// nil for one that is not there.
type item struct {
	channel, topic, data, runID, key []byte
	faults                           []schemas.FieldError
}

// publishItem publishes one message of a batch. Its JSON is checked once, while
// white space is taken out of it; what is left is only cut into pieces. key is
// that of the request's header, "" for none.
func (a *api) publishItem(ctx context.Context, who *auth.Principal, line []byte, key string) (schemas.Receipt, error) {
	b := a.buffers.get()
	defer a.buffers.put(b)
	if err := compact(b, line); err != nil {
		return schemas.Receipt{}, err
	}
	p, err := readItem(b.Bytes())
	if err != nil {
		return schemas.Receipt{}, err
	}
	if key != "" && p.Key != "" && key != p.Key {
		return schemas.Receipt{}, fmt.Errorf("%w: idempotency_key is not the Idempotency-Key of the header", ErrMalformed)
	}
	p.Key = cmp.Or(p.Key, key)
	if err := mayPublish(who, p.Channel, p.Topic); err != nil {
		return schemas.Receipt{}, err
	}
	return a.put(ctx, p)
}

// readItem reads an item and names all that is wrong with it. Its data stays
// part of value, which is valid JSON.
func readItem(value []byte) (broker.Publication, error) {
	var p broker.Publication
	var it item
	if kind := jsonKind(value); kind != "object" {
		it.fault("", errors.New(cannotBe(kind)))
		return p, &fieldsError{it.faults}
	}
	it.split(value)
	p.Channel = parsed(&it, "/channel", it.channel, schemas.ParseChannel)
	p.Topic = parsed(&it, "/topic", it.topic, schemas.ParseTopic)
	p.RunID = parsed(&it, "/run_id", it.runID, schemas.ParseRunID)
	if it.key != nil && jsonKind(it.key) != "null" {
		p.Key = parsed(&it, "/idempotency_key", it.key, schemas.ParseKey)
	}
	if p.Data = it.data; it.data == nil {
		it.fault("/data", errors.New("is missing"))
	}
	if it.faults != nil {
		return p, &fieldsError{it.faults}
	}
	return p, nil
}

// split puts the members of an object in their places.
func (it *item) split(object []byte) {
	var strange []string
	for name, raw := range members(object) {
		if len(it.faults) == maxFaults {
			return
		}
		place := it.place(name)
		switch {
		case place == nil && !slices.Contains(strange, name):
			strange = append(strange, name)
			it.fault(pointerTo(name), errors.New("is unknown here"))
		case place == nil:
		case *place != nil:
			it.fault(pointerTo(name), errors.New("stands there twice"))
		default:
			*place = raw
		}
	}
}

// place returns where the member of that name goes, nil if it is unknown.
func (it *item) place(name string) *[]byte {
	switch name {
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
	}
	return nil
}

func (it *item) fault(pointer string, err error) {
	it.faults = append(it.faults, schemas.FieldError{Pointer: pointer, Detail: sentence(err)})
}

// parsed returns what a member says, which must be a string that parse accepts.
// One that is null or not there is the empty string.
func parsed[T any](it *item, pointer string, raw []byte, parse func(string) (T, error)) T {
	text := ""
	switch kind := jsonKind(raw); kind {
	case "string":
		text = unquote(raw)
	case "null":
	default:
		var none T
		it.fault(pointer, errors.New(cannotBe(kind)))
		return none
	}
	v, err := parse(text)
	if err != nil {
		it.fault(pointer, err)
	}
	return v
}

// jsonKind returns what a JSON value is, null for none.
func jsonKind(value []byte) string {
	if len(value) == 0 {
		return "null"
	}
	switch value[0] {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case 't', 'f':
		return "bool"
	case 'n':
		return "null"
	}
	return "number"
}
