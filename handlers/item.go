package handlers

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/internal/strictjson"
	"github.com/sluicehq/sluice/schemas"
)

// item is one message of a batch as it was sent: the raw JSON of each member, nil for a
// missing one.
type item struct {
	channel, topic, data, runID, key []byte
	faults                           []schemas.FieldError
}

// publishItem publishes one message of a batch. Its JSON is checked once, when white space
// is removed; after that it is only cut into pieces. key is the key in the header of the
// request, "" for none.
func (a *api) publishItem(c echo.Context, line []byte, key string) (schemas.Receipt, error) {
	who := principal(c)
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
	p.Key, p.Sub, p.Traceparent = cmp.Or(p.Key, key), who.Subject, traceparent(c)
	if err := mayPublish(who, p.Channel, p.Topic); err != nil {
		return schemas.Receipt{}, err
	}
	return a.put(c.Request().Context(), p)
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
