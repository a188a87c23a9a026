package client_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/client"
	"github.com/sluicehq/sluice/schemas"
)

type problemFixture struct {
	About        string               `json:"about"`
	Status       int                  `json:"status"`
	Headers      map[string]string    `json:"headers"`
	Body         string               `json:"body"`
	Code         string               `json:"code"`
	Detail       *string              `json:"detail"`
	Errors       []schemas.FieldError `json:"errors"`
	RetryAfterMS *int64               `json:"retry_after_ms"`
	RequestID    *string              `json:"request_id"`
	Subscription string               `json:"subscription"`
	Publish      string               `json:"publish"`
}

func (f *problemFixture) response() *http.Response {
	resp := answer(f.Status, "", strings.NewReader(f.Body))
	resp.Header = http.Header{}
	for name, value := range f.Headers {
		resp.Header.Set(name, value)
	}
	return resp
}

func TestFixtures_problems(t *testing.T) {
	for _, f := range fixture[[]problemFixture](t, "problems.json") {
		t.Run(f.Code+" "+f.About, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				attempts := 0
				c := over(t, func(r *http.Request) (*http.Response, error) {
					attempts++
					return f.response(), nil
				}, client.WithRetries(1))
				_, err := c.Publish(t.Context(), "c", "t", 1)
				plain := attempts
				_, _ = c.Publish(t.Context(), "c", "t", 1, client.IdempotencyKey("k"))
				if want := map[string][2]int{"always": {2, 2}, "with-key": {1, 2}, "never": {1, 1}}[f.Publish]; [2]int{plain, attempts - plain} != want {
					t.Errorf("%d attempts without a key, %d with one, want %v", plain, attempts-plain, want)
				}
				var problem *client.Problem
				if !errors.As(err, &problem) {
					t.Fatalf("error %v", err)
				}
				f.check(t, problem)
				f.checkSubscription(t)
			})
		})
	}
}

func (f *problemFixture) check(t *testing.T, got *client.Problem) {
	t.Helper()
	if got.Status != f.Status || got.Code() != f.Code {
		t.Errorf("status %d and code %s", got.Status, got.Code())
	}
	same := func(what, got string, want *string) {
		if want == nil && got != "" || want != nil && got != *want {
			t.Errorf("%s %q, want %v", what, got, show(want))
		}
	}
	same("detail", got.Detail, f.Detail)
	same("request id", got.Instance, f.RequestID)
	if !slices.Equal(got.Errors, f.Errors) {
		t.Errorf("errors %+v, want %+v", got.Errors, f.Errors)
	}
	if ms := got.RetryAfter.Milliseconds(); f.RetryAfterMS == nil && ms != 0 || f.RetryAfterMS != nil && ms != *f.RetryAfterMS {
		t.Errorf("retry after %d ms, want %v", ms, show(f.RetryAfterMS))
	}
}

func (f *problemFixture) checkSubscription(t *testing.T) {
	t.Helper()
	requests, waits := 0, 0
	c := over(t, func(*http.Request) (*http.Response, error) {
		if requests++; requests < 3 {
			return f.response(), nil
		}
		return events(closeFrame(4403, "disconnected", false, 0)), nil
	}, client.WithCredentials(func(context.Context) (string, error) { return "token", nil }))
	for range c.Subscribe(t.Context(), client.Subscription{OnRetry: func(error, time.Duration) { waits++ }}) {
	}
	want := map[string][2]int{"again": {3, 2}, "renew": {2, 0}, "stop": {1, 0}}[f.Subscription]
	if [2]int{requests, waits} != want {
		t.Errorf("a subscription makes %d requests and %d waits, want %v", requests, waits, want)
	}
}
