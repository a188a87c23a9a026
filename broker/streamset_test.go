package broker_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

func TestBroker_Subscribe_limits(t *testing.T) {
	ann, bob := broker.Owner{Subject: "ann", Address: "10.0.0.1"}, broker.Owner{Subject: "bob", Address: "10.0.0.2"}
	nobody := broker.Owner{Address: "10.0.0.3"}
	tests := []struct {
		name string
		opts broker.Options
		open []broker.Owner
		next broker.Owner
		want error
	}{
		{"no limits", broker.Options{}, []broker.Owner{ann, ann, ann}, ann, nil},
		{"all streams", broker.Options{MaxStreams: 2}, []broker.Owner{ann, bob}, nobody, broker.ErrTooManyStreams},
		{"all streams but one", broker.Options{MaxStreams: 3}, []broker.Owner{ann, bob}, nobody, nil},
		{"of the subject", broker.Options{MaxStreamsPerSubject: 2}, []broker.Owner{ann, ann}, ann, broker.ErrTooManyStreams},
		{"of another subject", broker.Options{MaxStreamsPerSubject: 2}, []broker.Owner{ann, ann}, bob, nil},
		{"of the token, without a subject", broker.Options{MaxStreamsPerSubject: 1}, []broker.Owner{{TokenID: "ann"}}, broker.Owner{TokenID: "ann"}, broker.ErrTooManyStreams},
		{"of another token", broker.Options{MaxStreamsPerSubject: 1}, []broker.Owner{{TokenID: "ann"}, ann}, broker.Owner{TokenID: "bob"}, nil},
		{"of two tokens of a subject", broker.Options{MaxStreamsPerSubject: 1}, []broker.Owner{{Subject: "ann", TokenID: "1"}}, broker.Owner{Subject: "ann", TokenID: "2"}, broker.ErrTooManyStreams},
		{"of a token without an id", broker.Options{MaxStreamsPerSubject: 1}, []broker.Owner{{Holder: "x"}}, broker.Owner{Holder: "x"}, broker.ErrTooManyStreams},
		{"of another such token", broker.Options{MaxStreamsPerSubject: 1}, []broker.Owner{{Holder: "x"}}, broker.Owner{Holder: "y"}, nil},
		{"API keys", broker.Options{MaxStreamsPerSubject: 1}, []broker.Owner{nobody, nobody}, nobody, nil},
		{"of the address", broker.Options{MaxStreamsPerAddress: 1}, []broker.Owner{ann}, broker.Owner{Subject: "bob", Address: ann.Address}, broker.ErrTooManyStreams},
		{"of a neighbour", broker.Options{MaxStreamsPerAddress: 1}, []broker.Owner{{Address: "2001:db8:1:2::3"}}, broker.Owner{Address: "2001:db8:1:2::4"}, nil},
		{"of neighbours", broker.Options{MaxStreamsPerAddress: 1}, []broker.Owner{{Address: "::ffff:10.0.0.1"}}, broker.Owner{Address: "::ffff:10.0.0.2"}, nil},
		{"of another address", broker.Options{MaxStreamsPerAddress: 1}, []broker.Owner{ann}, bob, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := start(t, tt.opts)
			sub := asking("a:1")
			var streams []*reader
			for _, owner := range tt.open {
				sub.Owner = owner
				streams = append(streams, subscribe(t, b, sub))
			}
			sub.Owner = tt.next
			s, err := b.Subscribe(t.Context(), sub)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if s != nil {
				s.Close()
			}
			if n := b.Stats().Streams; n != len(tt.open) {
				t.Errorf("%d streams are listed", n)
			}
			if tt.want == nil {
				return
			}
			streams[0].Close()
			streams[0].Close()
			subscribe(t, b, sub)
			if _, err := b.Subscribe(t.Context(), sub); !errors.Is(err, tt.want) {
				t.Errorf("a stream that was closed twice left two places: %v", err)
			}
		})
	}
}

func TestBroker_Subscribe_tooManyInStream(t *testing.T) {
	b := start(t, broker.Options{MaxChannelsPerStream: 2})
	if s, err := b.Subscribe(t.Context(), asking("a", "b", "c")); !errors.Is(err, broker.ErrTooManyInStream) {
		t.Errorf("got %v, %v, want ErrTooManyInStream", s, err)
	}
	subscribe(t, b, asking("a", "b:*"))
}

func TestBroker_Streams(t *testing.T) {
	b := start(t, broker.Options{})
	open := func(subject, token string, sub broker.Subscription) *reader {
		sub.Owner = broker.Owner{Subject: subject, TokenID: token, Address: "10.0.0.1"}
		return subscribe(t, b, sub)
	}
	open("ann", "t1", asking("a:1"))
	open("ann", "t2", asking("a:*/status,log"))
	nd := asking("b", "a:2/tokens", "a:3/log")
	nd.Format = ring.NDJSON
	open("bob", "t3", nd)

	tests := []struct {
		name   string
		filter broker.Filter
		limit  int
		want   []uint64
	}{
		{"all", broker.Filter{}, 9, []uint64{1, 2, 3}},
		{"some", broker.Filter{}, 2, []uint64{1, 2}},
		{"subject", broker.Filter{Subject: "ann"}, 9, []uint64{1, 2}},
		{"token", broker.Filter{TokenID: "t2"}, 9, []uint64{2}},
		{"channel, by name and by pattern", broker.Filter{Channel: "a:1"}, 9, []uint64{1, 2}},
		{"channel, second of several", broker.Filter{Channel: "a:2"}, 9, []uint64{2, 3}},
		{"both", broker.Filter{Subject: "bob", Channel: "a:1"}, 9, nil},
		{"nobody", broker.Filter{Subject: "eve"}, 9, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []uint64
			for _, info := range b.Streams(tt.filter, tt.limit) {
				got = append(got, info.ID)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
	info := b.Streams(broker.Filter{TokenID: "t3"}, 1)[0]
	if info.Subject != "bob" || info.Address != "10.0.0.1" || info.Format != "ndjson" || info.Position.String() != "k-0" || time.Since(info.ConnectedAt.Std()) > time.Minute {
		t.Errorf("%+v", info)
	}
	if !slices.Equal(info.Channels, []schemas.Pattern{"b", "a:2", "a:3"}) || !slices.Equal(info.Topics, []schemas.Topic{"*", "log", "tokens"}) {
		t.Errorf("asked for %v, %v", info.Channels, info.Topics)
	}
}

func TestBroker_Disconnect(t *testing.T) {
	b := start(t, broker.Options{})
	sub := asking("a:1")
	sub.Owner.TokenID = "t1"
	r, other := subscribe(t, b, sub), subscribe(t, b, asking("a:1"))
	if n := b.Disconnect(broker.Filter{TokenID: "t1"}, broker.TokenRevoked()); n != 1 {
		t.Errorf("%d streams were ended", n)
	}
	r.End(broker.Disconnected()) // too late
	want(t, "ended", r.during(time.Minute), "$open@0 $close@0[4401]")
	if e, ok := r.Ended(); !ok || e.Code != 4401 || !r.ended {
		t.Errorf("ended with %+v, %t", e, ok)
	}
	if e, ok := other.Ended(); ok {
		t.Errorf("another stream ended with %+v", e)
	}
}
