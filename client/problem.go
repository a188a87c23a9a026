package client

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// Problem is an answer that says why the server refused a request (RFC 9457). Use
// [errors.As] to get it.
//
// An answer that is not a problem document, such as a proxy's page, becomes a Problem, too.
// Its Status and Title are those of HTTP, and its Type is "about:blank".
type Problem struct {
	schemas.Problem

	// RetryAfter is how long the server asks to wait, zero if it does not say.
	RetryAfter time.Duration
}

// Error returns the status, the title, the detail and each fault.
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

// Code returns the last part of the problem's type, such as "rate-limited". For an answer that
// is not a problem document, it returns "unauthorized" for status 401, and otherwise "http-"
// and the status.
func (p *Problem) Code() string {
	if i := strings.LastIndexByte(p.Type, '/'); i >= 0 {
		return p.Type[i+1:]
	}
	if p.Status == http.StatusUnauthorized {
		return "unauthorized"
	}
	return "http-" + strconv.Itoa(p.Status)
}

// Is reports whether p is [ErrSuperseded] or [ErrConflict].
func (p *Problem) Is(target error) bool {
	switch target {
	case ErrSuperseded:
		return p.Code() == "superseded"
	case ErrConflict:
		return p.Code() == "conflict"
	}
	return false
}

// continuable reports whether the publisher of the refused text can continue it, from another
// offset or in another attempt.
func (p *Problem) continuable() bool {
	return p.Code() == "conflict" && (p.Offset != nil || p.State == textAborted)
}

// taken reports whether another connection publishes the text, or has published another one.
func (p *Problem) taken() bool {
	return p.Code() == "conflict" && !p.continuable()
}

// transient reports whether a subscription reconnects after this refusal: the status stands
// for a temporary condition or a fault of the server.
func (p *Problem) transient() bool {
	switch p.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return p.Status >= http.StatusInternalServerError
}

// repeatable reports whether a retry of the call may succeed. The call may nevertheless
// have taken effect.
func (p *Problem) repeatable() bool {
	switch p.Status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// undone reports whether the server says that it did nothing and the call may be retried.
// The same status from a proxy says neither: it may have lost the server's answer.
func (p *Problem) undone() bool {
	return strings.HasPrefix(p.Type, problemTypes) &&
		(p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable)
}

// problemTypes is the prefix of the types of the server's own problems.
const problemTypes = "/problems/"

// problemOf reads the problem in resp and returns it. If the connection breaks before its
// end, nobody knows what the server had to say, and the error is the network's. It does not
// close the body.
func problemOf(resp *http.Response) error {
	p := &Problem{RetryAfter: retryAfter(resp.Header.Get("Retry-After"))}
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if mediaType == "application/problem+json" {
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
		if err != nil {
			return &networkError{fmt.Errorf("client: reading the answer, of status %d: %w", resp.StatusCode, err)}
		}
		if json.Unmarshal(body, &p.Problem) != nil {
			p.Problem = schemas.Problem{}
		}
	}
	p.Status = resp.StatusCode // which intermediaries have acted on
	if p.Title == "" {
		p.Title = http.StatusText(p.Status)
	}
	if p.Type == "" {
		p.Type = "about:blank"
	}
	return p
}

// retryAfter parses the Retry-After header (RFC 9110, section 10.2.3). It returns 0 if it
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
