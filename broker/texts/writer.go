package texts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// Errors of texts. When one of them is returned, nothing has been published.
var (
	// ErrSuperseded says that a higher attempt has taken the text.
	ErrSuperseded = errors.New("texts: a later attempt has taken the text")
	// ErrTaken says that another connection goes on with the same attempt.
	ErrTaken = errors.New("texts: another connection goes on with the text")
	// ErrAborted says that the attempt has ended, and only a higher one can follow.
	ErrAborted = errors.New("texts: the attempt was aborted")
	// ErrDiffers says that what a publisher repeats is not what was published.
	ErrDiffers = errors.New("texts: the text differs from what is held")
	// ErrBadOffset says that a publisher wants to go on beyond the end of what is held.
	ErrBadOffset = errors.New("texts: the offset is beyond the end of the text")
)

// OffsetError is an [ErrBadOffset].
type OffsetError struct {
	Held int64 // bytes of the text that are held
}

// Error says how much is held.
func (e *OffsetError) Error() string {
	return fmt.Sprintf("%v: %d bytes are held", ErrBadOffset, e.Held)
}

// Unwrap returns [ErrBadOffset].
func (*OffsetError) Unwrap() error { return ErrBadOffset }

// Text is a text to be published piece by piece.
type Text struct {
	Channel     schemas.Channel
	Topic       schemas.Topic
	RunID       string
	StreamID    string
	Sub         string        // subject of the publisher's token; "" for an API key
	Traceparent string        // of the start, as of [schemas.Message]
	Limits      engine.Limits // of the channel; zero fields stand for those of the service

	// Attempt is which try to publish the text this is, from 1. 0 is for a text that has
	// a stream id which nobody else can know: nobody goes on with it or takes it over.
	Attempt int64
	Offset  int64 // how many bytes of the text the publisher leaves out, since they are held already
}

func (t *Text) name() engine.TextName {
	return engine.TextName{Channel: t.Channel, Topic: t.Topic, StreamID: t.StreamID}
}

// The data of the message that ends a text.
const (
	endComplete   = `{"reason":"complete"}`
	endAborted    = `{"reason":"aborted"}`
	endSuperseded = `{"reason":"superseded"}`
)

// Store is where the messages of a text and its record go.
type Store interface {
	// Publish publishes a message, see [engine.Engine.Append].
	Publish(ctx context.Context, e *engine.Entry) (schemas.Receipt, error)
	// Text and SetText are of the record of a text, see [engine.Engine].
	Text(ctx context.Context, name engine.TextName) (t engine.Text, revision uint64, err error)
	SetText(ctx context.Context, name engine.TextName, revision uint64, t engine.Text) (uint64, error)
	// HeldText returns what there is of a text: at least what was published before its
	// record was set the last time.
	HeldText(ctx context.Context, name engine.TextName) (ring.HeldText, error)
	// ID returns the id of a position.
	ID(position uint64) schemas.ID
	// Limits returns those of a channel.
	Limits(name schemas.Channel) engine.Limits
	// Remember returns how long a record is remembered.
	Remember() time.Duration
	// Grace returns how long a text stays open whose publisher was lost, and Later calls
	// do after that time, or at once if too many wait, unless the service has ended.
	Grace() time.Duration
	Later(do func(context.Context))
}

// Open begins a text, goes on with one that is open, or takes one over from a lower
// attempt, and returns the writer of its pieces. If the attempt is complete already,
// there is nothing to write, and Open returns the receipt instead.
//
// Errors: [ErrSuperseded], [ErrAborted], [*OffsetError] and those of the store.
func Open(ctx context.Context, store Store, t Text) (*Writer, *schemas.StreamReceipt, error) {
	w := &Writer{store: store, text: t}
	if t.Attempt == 0 {
		return w, nil, w.begin(ctx)
	}
	for {
		receipt, err := w.take(ctx)
		switch {
		case errors.Is(err, engine.ErrFenced) && ctx.Err() == nil:
			// Somebody else took it between the look at the record and the change.
		case err != nil || receipt != nil:
			return nil, receipt, err
		default:
			return w, nil, nil
		}
	}
}

// Writer publishes the pieces of one text. Its methods must not be called at the
// same time. After an error, only [Writer.Leave] is of use.
type Writer struct {
	store   Store
	text    Text
	record  engine.Text // of a text with an attempt
	fence   uint64      // revision of the record; 0: the text has none
	set     time.Time   // when the record was set
	overlap []byte      // what is held of the text after the publisher's offset, and still has to be compared
	receipt schemas.StreamReceipt
	data    []byte // of the last piece
}

// take takes the text from whoever has it, and finds out where to go on.
func (w *Writer) take(ctx context.Context) (*schemas.StreamReceipt, error) {
	name := w.text.name()
	was, revision, err := w.store.Text(ctx, name)
	if err != nil {
		return nil, err
	}
	w.record = engine.Text{Attempt: w.text.Attempt, State: engine.TextOpen}
	switch {
	case was.Attempt > w.text.Attempt:
		return nil, fmt.Errorf("%w: attempt %d", ErrSuperseded, was.Attempt)
	case was.Attempt < w.text.Attempt:
		if err := w.checkOffset(0); err != nil {
			return nil, err
		}
	case was.State == engine.TextComplete:
		return repeated(w.store, name, &was), nil
	case was.State == engine.TextAborted:
		return nil, ErrAborted
	default:
		w.record.Since = was.Since
		if _, err := w.held(ctx); err != nil { // before it is taken from a publisher that may still have it
			return nil, w.unlessTaken(ctx, revision, err)
		}
	}
	if err := w.setRecord(ctx, revision); err != nil {
		return nil, err
	}
	receipt, err := w.goOn(ctx, was.State == engine.TextOpen)
	if err != nil {
		w.leave()
		err = w.unlessTaken(ctx, w.fence, err)
	}
	return receipt, err
}

// unlessTaken returns err, or [engine.ErrFenced] if the record no longer has this
// revision: then what is held may be of another attempt.
func (w *Writer) unlessTaken(ctx context.Context, revision uint64, err error) error {
	if _, now, unknown := w.store.Text(ctx, w.text.name()); unknown == nil && now != revision {
		return engine.ErrFenced
	}
	return err
}

// setRecord sets the record of the text, which has this revision.
func (w *Writer) setRecord(ctx context.Context, revision uint64) error {
	fence, err := w.store.SetText(ctx, w.text.name(), revision, w.record)
	if err != nil {
		return err
	}
	w.fence, w.record.Since, w.set = fence, cmp.Or(w.record.Since, fence), time.Now()
	return nil
}

// goOn goes on where what is held of the attempt ends, or begins if that is nothing. It
// returns a receipt if the text has ended: its publisher ended before the record said so.
func (w *Writer) goOn(ctx context.Context, wasOpen bool) (*schemas.StreamReceipt, error) {
	if !wasOpen {
		return nil, w.begin(ctx)
	}
	held, err := w.held(ctx)
	switch own := w.owns(&held); {
	case err != nil:
		return nil, err
	case own && held.Reason != "":
		return w.ended(ctx, &held)
	case own:
		w.receipt = receiptOf(w.store, w.text.StreamID, held.First, 0, held.Chunks, held.End)
		w.overlap = held.From(w.text.Offset)
		return nil, nil
	case held.Open():
		if _, err := w.publish(ctx, schemas.KindStreamEnd, endSuperseded); err != nil {
			return nil, err
		}
	}
	return nil, w.begin(ctx)
}

// held returns what the channel has of the text. Errors: [*OffsetError] if the
// attempt wants to go on beyond that; those of the store.
func (w *Writer) held(ctx context.Context) (ring.HeldText, error) {
	held, err := w.store.HeldText(ctx, w.text.name())
	if err != nil {
		return held, err
	}
	if w.owns(&held) {
		return held, w.checkOffset(held.End)
	}
	return held, w.checkOffset(0)
}

// owns reports whether the attempt has published what is held.
func (w *Writer) owns(held *ring.HeldText) bool { return held.First > w.record.Since }

func (w *Writer) checkOffset(held int64) error {
	if w.text.Offset > held {
		return &OffsetError{held}
	}
	return nil
}

// ended makes good that the record of an ended text does not say so.
func (w *Writer) ended(ctx context.Context, held *ring.HeldText) (*schemas.StreamReceipt, error) {
	w.receipt = receiptOf(w.store, w.text.StreamID, held.First, held.Last, held.Chunks, held.End)
	if held.Reason != "complete" {
		return nil, cmp.Or(w.close(ctx, engine.TextAborted), ErrAborted)
	}
	if err := w.close(ctx, engine.TextComplete); err != nil {
		return nil, err
	}
	return repeated(w.store, w.text.name(), &w.record), nil
}

// begin publishes the message that begins the text.
func (w *Writer) begin(ctx context.Context) error {
	data := "{}"
	if w.text.Attempt > 0 {
		data = fmt.Sprintf(`{"attempt":%d}`, w.text.Attempt)
	}
	first, err := w.publish(ctx, schemas.KindStreamStart, data)
	w.receipt.StreamID, w.receipt.FirstID = w.text.StreamID, first.ID
	return err
}

// publish publishes a message of the text.
func (w *Writer) publish(ctx context.Context, kind schemas.Kind, data string) (schemas.Receipt, error) {
	w.data = append(w.data[:0], data...)
	return w.append(ctx, kind, 0)
}

// append publishes a message with w.data.
func (w *Writer) append(ctx context.Context, kind schemas.Kind, offset int64) (schemas.Receipt, error) {
	if err := w.renew(ctx); err != nil {
		return schemas.Receipt{}, err
	}
	e := engine.Entry{
		Message: schemas.Message{
			Channel: w.text.Channel, Topic: w.text.Topic, Kind: kind, Data: w.data, RunID: w.text.RunID,
			StreamID: w.text.StreamID, Offset: offset, Sub: w.text.Sub,
		},
		Limits: w.text.Limits, Fence: w.fence,
	}
	if kind == schemas.KindStreamStart {
		e.Traceparent = w.text.Traceparent
	}
	r, err := w.store.Publish(ctx, &e)
	return r, w.explained(ctx, err)
}

// renew sets the record again from time to time: it must not be forgotten while the text
// grows.
func (w *Writer) renew(ctx context.Context) error {
	if w.fence == 0 || time.Since(w.set) < w.store.Remember()/2 {
		return nil
	}
	return w.explained(ctx, w.setRecord(ctx, w.fence))
}

// explained returns err, and what it means if it is that the text was taken.
func (w *Writer) explained(ctx context.Context, err error) error {
	if !errors.Is(err, engine.ErrFenced) {
		return err
	}
	now, _, unknown := w.store.Text(ctx, w.text.name())
	switch {
	case unknown != nil:
		return err
	case now.Attempt > w.text.Attempt:
		return fmt.Errorf("%w: attempt %d", ErrSuperseded, now.Attempt)
	case now.State == engine.TextAborted:
		return ErrAborted
	}
	return ErrTaken
}

// Write publishes a piece of the text, which must be UTF-8 and fit into an event. What is
// held already is compared and not published again. Errors: [ErrSuperseded], [ErrTaken],
// [ErrAborted], [ErrDiffers] and those of the store.
func (w *Writer) Write(ctx context.Context, piece string) error {
	if n := min(len(w.overlap), len(piece)); n > 0 {
		if string(w.overlap[:n]) != piece[:n] {
			return w.differs(ctx)
		}
		w.overlap, piece = w.overlap[n:], piece[n:]
	}
	if piece == "" {
		return nil
	}
	w.data = schemas.AppendString(w.data[:0], piece)
	if _, err := w.append(ctx, schemas.KindChunk, w.receipt.Bytes); err != nil {
		return err
	}
	w.receipt.Bytes += int64(len(piece))
	w.receipt.Chunks++
	return nil
}

// differs returns the error of a publisher that repeats something else than what is held.
func (w *Writer) differs(ctx context.Context) error {
	err := fmt.Errorf("%w: it has %d bytes", ErrDiffers, w.receipt.Bytes)
	return w.explained(ctx, w.unlessTaken(ctx, w.fence, err))
}

// Complete ends the text, and returns its receipt. Errors: as of [Writer.Write].
func (w *Writer) Complete(ctx context.Context) (schemas.StreamReceipt, error) {
	if len(w.overlap) > 0 {
		return schemas.StreamReceipt{}, w.differs(ctx)
	}
	err := w.end(ctx, engine.TextComplete, endComplete)
	return w.receipt, err
}

// Abort ends the text before it is complete. Errors: as of [Writer.Write].
func (w *Writer) Abort(ctx context.Context) error {
	return w.end(ctx, engine.TextAborted, endAborted)
}

func (w *Writer) end(ctx context.Context, state engine.TextState, data string) error {
	last, err := w.publish(ctx, schemas.KindStreamEnd, data)
	if err != nil {
		return err
	}
	w.receipt.LastID = last.ID
	return w.close(ctx, state)
}

// close notes in the record that the text has ended.
func (w *Writer) close(ctx context.Context, state engine.TextState) error {
	if w.fence == 0 {
		return nil
	}
	w.record.State = state
	w.record.First, w.record.Last = w.receipt.FirstID.Seq, w.receipt.LastID.Seq
	w.record.Chunks, w.record.Bytes = w.receipt.Chunks, w.receipt.Bytes
	return w.explained(ctx, w.setRecord(ctx, w.fence))
}

// Leave leaves a text without an end: one that others can go on with is aborted if nobody
// has within the grace time, any other one at once.
func (w *Writer) Leave(ctx context.Context) error {
	if w.fence == 0 {
		return w.Abort(ctx)
	}
	w.leave()
	return nil
}

func (w *Writer) leave() {
	w = &Writer{store: w.store, text: w.text, record: w.record, fence: w.fence} // without what is large
	w.text.Offset = 0
	w.abortLater()
}

// abortLater aborts the text after the grace time, unless somebody has gone on with it.
func (w *Writer) abortLater() {
	w.store.Later(func(ctx context.Context) {
		err := w.abortOpen(ctx)
		if errors.Is(err, engine.ErrUnavailable) || errors.Is(err, engine.ErrUncertain) {
			w.abortLater()
		}
	})
}

// abortOpen ends an open text of which w knows the record alone, and that nobody has gone
// on with.
func (w *Writer) abortOpen(ctx context.Context) error {
	if err := w.setRecord(ctx, w.fence); err != nil {
		return err
	}
	held, err := w.held(ctx)
	if err != nil {
		return err
	}
	switch {
	case !w.owns(&held): // it never began, or is no longer held
		return w.close(ctx, engine.TextAborted)
	case held.Reason != "":
		_, err := w.ended(ctx, &held)
		return err
	}
	w.receipt = receiptOf(w.store, w.text.StreamID, held.First, 0, held.Chunks, held.End)
	w.text.RunID, w.text.Sub = held.RunID, held.Sub
	return w.Abort(ctx)
}

// repeated returns the receipt of a complete text that is published again.
func repeated(store Store, name engine.TextName, t *engine.Text) *schemas.StreamReceipt {
	r := receiptOf(store, name.StreamID, t.First, t.Last, t.Chunks, t.Bytes)
	r.Duplicate = true
	return &r
}

func receiptOf(store Store, streamID string, first, last uint64, chunks, bytes int64) schemas.StreamReceipt {
	r := schemas.StreamReceipt{StreamID: streamID, Chunks: chunks, Bytes: bytes, FirstID: store.ID(first)}
	if last > 0 {
		r.LastID = store.ID(last)
	}
	return r
}
