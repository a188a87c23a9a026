package jetstream

import (
	"errors"
	"fmt"
	"testing"

	upstream "github.com/nats-io/nats.go/jetstream"
)

// What follows from an error decides whether a publish is repeated, a start waits, or
// the engine turns read-only.
func TestIs(t *testing.T) {
	for _, tt := range []struct {
		name                                     string
		err                                      error
		conflict, transient, startingUp, refusal bool
	}{
		{"none", nil, false, true, true, false},
		{"not from JetStream", errors.New("x"), false, true, true, false},
		{"no answer", ErrNoAnswer, false, true, true, false},
		{"another record came first", answered(10071), true, true, false, false},
		{"another record is on its way", answered(10164), true, true, false, false},
		{"too many batches", answered(10210), false, true, false, false},
		{"incomplete batch", answered(10176), false, true, false, false},
		{"no leader yet", answered(10008), false, false, true, false},
		{"no peers yet", answered(10005), false, false, true, false},
		{"no stream", answered(10059), false, false, true, false},
		{"too many requests", answered(10167), false, false, false, false},
		{"the stream is full", answered(10077), false, false, false, true},
		{"the server is full", answered(10047), false, false, false, true},
		{"the account is full", answered(10002), false, false, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.err
			if err != nil {
				err = fmt.Errorf("wrapped: %w", err)
			}
			for _, c := range []struct {
				name      string
				got, want bool
			}{
				{"conflict", IsConflict(err), tt.conflict},
				{"final conflict", IsFinalConflict(err), tt.name == "another record came first"},
				{"transient", IsTransient(err), tt.transient},
				{"starting up", IsStartingUp(err), tt.startingUp},
				{"refusal", IsRefusal(err), tt.refusal},
			} {
				if c.got != c.want {
					t.Errorf("%s: %t", c.name, c.got)
				}
			}
		})
	}
}

func answered(code upstream.ErrorCode) error { return &upstream.APIError{ErrorCode: code} }

// Servers are outside: whatever they answer is an error or a value, never a panic.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"seq":7}`, `{"error":{"code":503,"err_code":10077,"description":"full"}}`, `{"seq":-1}`, ``, `null`, `[]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var ack upstream.PubAck
		err := decode(data, &ack)
		if err != nil && codeOf(err) == 0 && !errors.Is(err, ErrBadAnswer) && !errors.As(err, new(*upstream.APIError)) {
			t.Errorf("%q: %v", data, err)
		}
	})
}
