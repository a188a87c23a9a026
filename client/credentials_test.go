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

// A credential that is refused with 401 may have expired in transit. The source is asked for
// another one immediately, but only once.
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

// Without a URL of its own, each request goes where its token says.
func TestWithTokens(t *testing.T) {
	var asked []string
	transport := transport(func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.URL.String()+" "+r.Header.Get("Authorization"))
		return answer(200, "application/json", strings.NewReader("{}")), nil
	})
	run := func(rawURL string, tokens ...client.Token) error {
		t.Helper()
		asked = nil
		c, err := client.New(rawURL, "", client.WithHTTPClient(&http.Client{Transport: transport}),
			client.WithTokens(func(context.Context) (client.Token, error) {
				next := tokens[0]
				tokens = tokens[1:]
				return next, nil
			}))
		if err != nil {
			t.Fatal(err)
		}
		for range tokens {
			if err := c.Health(t.Context()); err != nil {
				return err
			}
		}
		return nil
	}
	for _, tt := range []struct {
		name, url string
		tokens    []client.Token
		want      []string
	}{
		{"of the token", "", []client.Token{{Token: "a", URL: "https://one.test/sluice"}, {Token: "b", URL: "https://two.test/"}}, []string{
			"https://one.test/sluice/healthz Bearer a", "https://two.test/healthz Bearer b",
		}},
		{"of its own", "http://own.test", []client.Token{{Token: "a", URL: "https://one.test"}, {Token: "b"}}, []string{
			"http://own.test/healthz Bearer a", "http://own.test/healthz Bearer b",
		}},
	} {
		if err := run(tt.url, tt.tokens...); err != nil || !slices.Equal(asked, tt.want) {
			t.Errorf("%s: asked %q, %v; want %q", tt.name, asked, err, tt.want)
		}
	}
	for _, bad := range []string{"", "ftp://h", "http://user:secret@h"} {
		err := run("", client.Token{Token: "a", URL: bad})
		if !errors.Is(err, client.ErrBadURL) || strings.Contains(err.Error(), "secret") || asked != nil {
			t.Errorf("%q: %v, asked %q", bad, err, asked)
		}
	}
}
