package client

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// Problem is an answer of the server that says why it did not do what was
// asked, RFC 9457. Reach it with [errors.As].
//
// What is not a problem document (a proxy's page, say) still becomes a Problem:
// Status and Title are then those of HTTP and Type is "about:blank".
type Problem struct {
	schemas.Problem

	// RetryAfter is how long the server asks to wait; zero: it did not say.
	RetryAfter time.Duration
}

// Error returns the status, what it is about and each fault that was named.
func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(strconv.Itoa(p.Status))
	b.WriteByte(' ')
	b.WriteString(p.Title)
	if p.Detail != "" {
		b.WriteString(": ")
		b.WriteString(p.Detail)
	}
	for _, fault := range p.Errors {
		b.WriteString("; ")
		if fault.Pointer != "" {
			b.WriteString(fault.Pointer)
			b.WriteString(": ")
		}
		b.WriteString(fault.Detail)
	}
	return b.String()
}

// Code returns the last part of the problem's type, such as "rate-limited". For
// an answer that is no problem document it is "unauthorized" (401) or "http-"
// with the status.
func (p *Problem) Code() string {
	if i := strings.LastIndexByte(p.Type, '/'); i >= 0 {
		return p.Type[i+1:]
	}
	if p.Status == http.StatusUnauthorized {
		return "unauthorized"
	}
	return "http-" + strconv.Itoa(p.Status)
}

// passing reports whether a subscription that is refused so comes again: the
// status speaks of the present moment, or of a fault of the other side.
func (p *Problem) passing() bool {
	switch p.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return p.Status >= http.StatusInternalServerError
}

// repeatable reports whether a call may succeed a little later. It may have been
// carried out all the same.
func (p *Problem) repeatable() bool {
	switch p.Status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// undone reports whether the server says that it did nothing, and to come again.
// The same status of a proxy says nothing: it may have lost the server's answer.
func (p *Problem) undone() bool {
	return strings.HasPrefix(p.Type, problemTypes) &&
		(p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable)
}

// problemTypes is what the types of the server's own problems begin with.
const problemTypes = "/problems/"

// problemOf reads the problem that resp holds. It does not close the body.
func problemOf(resp *http.Response) *Problem {
	p := &Problem{RetryAfter: retryAfter(resp.Header.Get("Retry-After"))}
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if mediaType == "application/problem+json" {
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
		if err == nil && json.Unmarshal(body, &p.Problem) != nil {
			p.Problem = schemas.Problem{}
		}
	}
	p.Status = resp.StatusCode // what HTTP says is what intermediaries acted on
	if p.Title == "" {
		p.Title = http.StatusText(p.Status)
	}
	if p.Type == "" {
		p.Type = "about:blank"
	}
	return p
}

// retryAfter reads the header of that name, RFC 9110 section 10.2.3; 0 when it
// is missing, malformed or in the past.
func retryAfter(value string) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}
