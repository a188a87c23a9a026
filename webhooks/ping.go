package webhooks

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/sluicehq/sluice/broker/engine/outbox"
	"github.com/sluicehq/sluice/schemas"
)

// typeTest is that of an event about nothing, which [Test] sends.
const typeTest outbox.Type = "webhook.test"

// Test sends one event to a URL, signed with a secret, and returns the status of the answer.
// The error says why it was not accepted. It connects to whatever address the URL names.
func Test(ctx context.Context, address, secret string) (status int, err error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return 0, errors.New("webhooks: want a URL that begins with http:// or https://")
	}
	key, err := ParseSecret(secret)
	if err != nil {
		return 0, err
	}
	client := newClient(&Options{dial: new(net.Dialer).DialContext})
	defer client.CloseIdleConnections()
	e := outbox.Event{ID: schemas.ID{Epoch: schemas.NewEpoch(), Seq: 1}, Type: typeTest, Channel: "test", At: schemas.TimeOf(time.Now())}
	r := post(ctx, client, &settings{url: u, secrets: []Secret{key}}, idOf(&e), bodyOf(&e))
	if r.err != nil {
		return r.status, fmt.Errorf("webhooks: not accepted: %w", r.err)
	}
	return r.status, nil
}
