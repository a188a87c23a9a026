package handlers_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/handlers"
	"github.com/sluicehq/sluice/schemas"
)

func TestSentence(t *testing.T) {
	deep := errors.New("nats: deep")
	for _, tt := range []struct {
		err  error
		want string
	}{
		{schemas.ErrBadChannel, "bad channel name"},
		{fmt.Errorf("%w: %w: character %q", schemas.ErrBadGrant, schemas.ErrBadChannel, "disk: "), `bad grant: bad channel name: character "disk: "`},
		{fmt.Errorf("%w: nats: %s", handlers.ErrMalformed, "auth: x"), "malformed request: nats: auth: x"},
		{fmt.Errorf("%w: %q does not have topic %q", schemas.ErrUnknownTopic, "schemas: x", "t"), `topic is not defined: "schemas: x" does not have topic "t"`},
		{fmt.Errorf("broker: outer: %w (%w)", deep, engine.ErrTooLarge), "outer: deep (" + plain(engine.ErrTooLarge) + ")"},
		{errors.Join(auth.ErrBadSubject, errors.New("disk: disk: twice")), plain(auth.ErrBadSubject) + "\ndisk: twice"},
		{fmt.Errorf("%w%w", errors.New("handlers: "), errors.New("x")), "x"},
	} {
		if got := handlers.Sentence(tt.err); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.err, got, tt.want)
		}
	}
}

// plain returns the text of a sentinel without the name of its package.
func plain(err error) string {
	_, text, _ := strings.Cut(err.Error(), ": ")
	return text
}

// Text from a client that looks like the beginning of one of our errors is returned unchanged.
func TestProblem_usersWords(t *testing.T) {
	srv := start(t)
	json := map[string]string{"Content-Type": "application/json"}
	srv.check(t, call{method: "PUT", path: "/v1/schemas/c", as: apiKey, body: `{"topics":{"t":{"schema":{"required":["nats: subject"]}}}}`, header: json, status: 201})
	srv.run(t, []call{
		{name: "order", method: "GET", path: "/v1/channels/c/messages?order=disk:+asc", as: apiKey, status: 400, problem: "malformed", detail: `order "disk: asc" is neither`},
		{name: "member", method: "POST", path: "/v1/publish", as: apiKey, body: `{"channel":"c","topic":"t","data":1,"auth: me":2}`, header: json, status: 400, problem: "malformed", detail: "/auth: me: is unknown here", fields: []string{"/auth: me"}},
		{name: "media type", method: "POST", path: "/v1/publish/c/t", as: apiKey, body: "1", header: map[string]string{"Content-Type": "broker: x"}, status: 415, problem: "unsupported-media-type", detail: `"broker: x"`},
		{name: "schema", method: "POST", path: "/v1/publish/c/t", as: apiKey, body: `{}`, status: 422, problem: "schema-violation", detail: `property "nats: subject" is missing`, fields: []string{""}},
		{name: "definition", method: "PUT", path: "/v1/schemas/d", as: apiKey, body: `{"handlers: x":1}`, header: json, status: 422, problem: "bad-schema", detail: "/handlers: x is unknown", fields: []string{"/handlers: x"}},
	})
}
