package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/client"
)

func TestClient_Events_credentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("no more tokens")
		issued := 0
		var sent []string
		c := over(t, func(r *http.Request) (*http.Response, error) {
			sent = append(sent, r.Header.Get("Authorization"))
			return events(openFrame(1) + closeFrame(4001, "token_expired", true, 250)), nil
		}, client.WithCredentials(func(context.Context) (string, error) {
			if issued++; issued > 2 {
				return "", broken
			}
			return fmt.Sprint("token-", issued), nil
		}))
		var last error
		for _, err := range c.Events(t.Context(), client.Subscription{}) {
			last = err
		}
		if !errors.Is(last, broken) {
			t.Errorf("the loop ended with %v", last)
		}
		if want := []string{"Bearer token-1", "Bearer token-2"}; !slices.Equal(sent, want) {
			t.Errorf("credentials %q", sent)
		}
	})
}

// What was refused with 401 may have expired on its way: another credential is
// asked for once, at once.
func TestClient_Events_unauthorized(t *testing.T) {
	for _, tt := range []struct {
		name   string
		accept map[string]bool
		want   []string
	}{
		{"the next one is good", map[string]bool{"token-2": true, "token-4": true}, []string{"token-1", "token-2", "token-3", "token-4", "token-5", "token-6"}},
		{"none is good", nil, []string{"token-1", "token-2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				issued := 0
				var sent []string
				c := over(t, func(r *http.Request) (*http.Response, error) {
					token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
					if sent = append(sent, token); tt.accept[token] {
						return events(openFrame(1)), nil
					}
					return answer(401, "text/plain", strings.NewReader("")), nil
				}, client.WithCredentials(func(context.Context) (string, error) {
					issued++
					return fmt.Sprint("token-", issued), nil
				}))
				var last error
				retries := 0
				for _, err := range c.Events(t.Context(), client.Subscription{OnRetry: func(error, time.Duration) { retries++ }}) {
					last = err
				}
				var problem *client.Problem
				if !errors.As(last, &problem) || problem.Status != http.StatusUnauthorized {
					t.Errorf("the loop ended with %v", last)
				}
				if !slices.Equal(sent, tt.want) || retries != len(tt.accept) {
					t.Errorf("credentials %q, %d waits", sent, retries)
				}
			})
		})
	}
}
