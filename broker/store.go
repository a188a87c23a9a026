package broker

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// store is how a shard keeps its messages: in its own logs alone ([memory]), or with an
// engine from which the logs are loaded while somebody reads them ([persistent]). All
// methods are safe for concurrent use.
type store interface {
	// start is called once, before all other methods.
	start(sh *shard) (engine.Origin, error)

	// append publishes e, see [engine.Engine.Append].
	append(ctx context.Context, e engine.Entry) (schemas.Receipt, error)
	// recall returns the receipt of a remembered durable publish, see
	// [engine.Engine.Recall].
	recall(ctx context.Context, channel schemas.Channel, topic schemas.Topic, key string) (schemas.Receipt, bool, error)

	// text and setText are as of [engine.Engine].
	text(ctx context.Context, name engine.TextName) (t engine.Text, revision uint64, err error)
	setText(ctx context.Context, name engine.TextName, revision uint64, t engine.Text) (uint64, error)
	// heldText returns what there is of a text: at least what was published before its
	// record was set the last time.
	heldText(ctx context.Context, name engine.TextName) (ring.HeldText, error)

	// prepare brings what c needs into memory and keeps it coming. c is a reader of its
	// channels already, at position 0. It returns, by pattern, the position up to which
	// messages may be lost.
	prepare(ctx context.Context, c *cursor, sub Subscription) (lost map[schemas.Pattern]uint64, err error)
	// release undoes prepare.
	release(c *cursor)

	// view returns the channel with everything that there is of it: the one that
	// readers read, or a temporary one.
	view(ctx context.Context, name schemas.Channel) (*channel, error)
	// learnPosition makes sure that the shard knows of a position that a client has
	// sent.
	learnPosition(ctx context.Context, position uint64) error
	// list summarises channels, including those that are not in memory, see
	// [engine.Engine.List].
	list(ctx context.Context, prefix string, after schemas.Channel, limit int) ([]engine.Summary, error)
	// delete forgets a channel and ends its streams.
	delete(ctx context.Context, name schemas.Channel) (found bool, err error)

	// dropReason returns why a message is lost that a log drops because it is too old
	// ([ring.Expired]) or memory is short ([ring.Overrun]). It is [ring.Kept] if the
	// engine still has the message.
	dropReason(why ring.GapReason) ring.GapReason

	// current reports why what is in memory must not be served, as
	// [engine.ErrUnavailable].
	current() error
	// ready reports why nothing can be published now.
	ready() error
	// tick is called once a second.
	tick(now time.Time)
	stats() engine.Stats
	close() error
}
