package client

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"github.com/sluicehq/sluice/schemas"
)

// ChannelInfo describes a channel.
type ChannelInfo struct {
	Channel     string   `json:"channel"`
	Subscribers int      `json:"subscribers"` // open streams that receive the channel
	Messages    int      `json:"messages"`    // kept for replay
	Bytes       int64    `json:"bytes"`       // the size of these messages
	FirstID     string   `json:"first_id"`    // of the oldest message kept, "" if there is none
	LastID      string   `json:"last_id"`     // of the newest message kept, "" if there is none
	Run         *RunInfo `json:"run"`         // the latest status of its run; nil: there is none
}

// RunInfo is the latest status of a channel's run.
type RunInfo struct {
	schemas.RunChange

	ID        string       `json:"id"` // of the message that set it
	UpdatedAt schemas.Time `json:"updated_at"`
}

// Channels returns a loop over the active channels whose names begin with prefix, ordered by
// name. It needs an API key. Each page of a thousand channels is one request, which is retried
// after transient failures; any other error is the last pair.
func (c *Client) Channels(ctx context.Context, prefix string) iter.Seq2[ChannelInfo, error] {
	return func(yield func(ChannelInfo, error) bool) {
		query := url.Values{"limit": {strconv.Itoa(maxPage)}}
		if prefix != "" {
			query.Set("prefix", prefix)
		}
		for {
			var page struct {
				Channels []ChannelInfo `json:"channels"`
				Next     string        `json:"next"`
			}
			if err := c.call(ctx, request{method: http.MethodGet, path: "/v1/channels", query: query, repeat: ifTransient, long: true}, &page); err != nil {
				yield(ChannelInfo{}, err)
				return
			}
			for _, info := range page.Channels {
				if !yield(info, nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			query.Set("after", page.Next)
		}
	}
}

// maxPage is the most items that the server puts into one answer.
const maxPage = 1000

// Subscriber describes an open stream of the server.
type Subscriber struct {
	ID          uint64       `json:"id"` // of the stream, on its node
	Sub         string       `json:"sub,omitempty"`
	JTI         string       `json:"jti,omitempty"` // of its token; "": an API key, or a token without one
	Address     string       `json:"address"`       // of the client, as far as the server knows
	Channels    []string     `json:"channels"`      // names and patterns
	Topics      []string     `json:"topics"`
	Position    string       `json:"position"` // the id up to which it has been sent everything
	ConnectedAt schemas.Time `json:"connected_at"`
	Format      string       `json:"format"` // sse or ndjson
}

// Subscribers returns up to 1,000 open streams of the node that answers: those that receive
// the channel and whose token has the subject sub, where these are not empty. It needs an API
// key. Transient failures are retried.
func (c *Client) Subscribers(ctx context.Context, channel, sub string) ([]Subscriber, error) {
	query := url.Values{"limit": {strconv.Itoa(maxPage)}}
	if channel != "" {
		query.Set("channel", channel)
	}
	if sub != "" {
		query.Set("sub", sub)
	}
	var list struct {
		Subscribers []Subscriber `json:"subscribers"`
	}
	err := c.call(ctx, request{method: http.MethodGet, path: "/v1/subscribers", query: query, repeat: ifTransient, long: true}, &list)
	return list.Subscribers, err
}

// HistoryQuery says which messages of a channel to read.
type HistoryQuery struct {
	Topics        []string // nil: all that the credential allows
	After, Before string   // ids; "": no bound
	Newest        bool     // the newest first
	Limit         int      // at most 1,000; 0: 100
}

// HistoryPage is a page of a channel's messages.
type HistoryPage struct {
	Messages []schemas.Message `json:"messages"`
	FirstID  string            `json:"first_id"` // of the oldest message that the channel holds
	LastID   string            `json:"last_id"`  // of the newest one
	Gap      bool              `json:"gap"`      // messages after After are lost for good
	Next     string            `json:"next"`     // After of the next page, or Before with Newest; "": it is the last one
}

// History reads messages of a channel without a stream. Transient failures are retried. Texts
// are whole: their pieces are one chunk, or a few.
func (c *Client) History(ctx context.Context, channel string, q HistoryQuery) (HistoryPage, error) {
	query := url.Values{"channel": {channel}}
	if len(q.Topics) > 0 {
		query["topic"] = q.Topics
	}
	for name, value := range map[string]string{"after": q.After, "before": q.Before} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if q.Newest {
		query.Set("order", "desc")
	}
	if q.Limit != 0 {
		query.Set("limit", strconv.Itoa(q.Limit))
	}
	var page HistoryPage
	err := c.call(ctx, request{method: http.MethodGet, path: "/v1/channels/$/messages", query: query, repeat: ifTransient, long: true}, &page)
	return page, err
}

// Revoke revokes the token with the id jti: it opens no new stream, and its open streams end
// within a second. A token that the server has never seen is revoked as well. It needs an API
// key. Transient failures are retried.
func (c *Client) Revoke(ctx context.Context, jti string) error {
	return c.call(ctx, request{method: http.MethodDelete, path: "/v1/tokens/$", query: url.Values{"jti": {jti}}, repeat: ifTransient}, nil)
}

// Metrics returns the metrics of the node that answers, in the text format of Prometheus. It
// needs no credential and never retries.
func (c *Client) Metrics(ctx context.Context) ([]byte, error) {
	resp, err := c.send(ctx, request{method: http.MethodGet, path: "/metrics"})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxMetricsBytes))
	if err != nil {
		return nil, &networkError{fmt.Errorf("client: reading the metrics: %w", err)}
	}
	return text, nil
}

// maxMetricsBytes is more than a server's metrics take.
const maxMetricsBytes = 16 << 20
