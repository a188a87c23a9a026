package client

import (
	"context"
	"errors"
	"time"
)

// stallCheck is the time between two looks whether the server gets anything.
const stallCheck = 15 * time.Second

var errStalled = errors.New("client: the connection is dead: the server gets nothing of the text")

// watch ends a request if the server gets nothing of the text although there is some. Then its
// connection is dead, and nobody has closed it: TCP would notice that after a quarter of an
// hour. It ends with ctx.
func (u *upload) watch(ctx context.Context, cancel context.CancelCauseFunc) {
	last := textStatus{attempt: -1}
	for u.text.keep {
		sent := u.text.unconfirmed()
		if !sleep(ctx, stallCheck) {
			return
		}
		if sent == 0 {
			continue
		}
		now, err := u.client.textStatus(ctx, u.request.query)
		if err != nil {
			continue
		}
		if now == last && u.text.stalled(now, sent) {
			cancel(&networkError{errStalled})
			return
		}
		u.text.confirm(now)
		last = now
	}
}
