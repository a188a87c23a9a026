package webhooks

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

const (
	// attemptTimeout is how long an endpoint may take to answer, connecting included.
	attemptTimeout = 15 * time.Second
	connectTimeout = 10 * time.Second
	// The status is all that counts of an answer. Its body is read as far as that lets the
	// connection be used again.
	maxAnswerHeader = 64 << 10 // bytes
	maxAnswerBody   = 16 << 10 // bytes
	answerBodyTime  = time.Second
	// maxConnections is how many events are sent to one endpoint at the same time. The client
	// has no limit for a host: an endpoint that hangs would hold up the others there.
	maxConnections = 8

	userAgent = "Sluice-Webhooks/1 (+https://github.com/sluicehq/sluice)"
)

// newClient returns a client that connects only where the options allow it, follows no
// redirects, and uses no proxy: a proxy would resolve names itself.
func newClient(o *Options) *http.Client {
	dial := o.dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: connectTimeout, Control: guard{o.Allow}.control, Resolver: o.resolver}).DialContext
	}
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: dial, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true,
			TLSHandshakeTimeout: connectTimeout, MaxResponseHeaderBytes: maxAnswerHeader, DisableCompression: true,
			MaxIdleConnsPerHost: 2, MaxIdleConns: maxEndpoints, IdleConnTimeout: 30 * time.Second,
		},
	}
}

// result is what became of an attempt.
type result struct {
	status     int           // of the answer; 0: there was none
	err        error         // nil if the endpoint accepted the event
	retryAfter time.Duration // that the endpoint asked for; 0: it did not
}

// gone reports whether the endpoint wants no more events at all.
func (r *result) gone() bool { return r.status == http.StatusGone }

// busy reports whether the endpoint wants fewer requests.
func (r *result) busy() bool {
	return r.status == http.StatusTooManyRequests || r.status == http.StatusServiceUnavailable
}

// post makes one attempt. Its errors hold neither the URL nor anything of the answer.
func post(ctx context.Context, client *http.Client, to *settings, id string, body []byte) result {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	now := time.Now()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.url.String(), bytes.NewReader(body))
	if err != nil {
		return result{err: errors.New("webhooks: no request can be made for the URL")}
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", userAgent)
	request.Header.Set("Webhook-Id", id)
	request.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	request.Header.Set("Webhook-Signature", sign(to.secrets, id, now, body))
	answer, err := client.Do(request)
	if err != nil {
		return result{err: plain(err)}
	}
	defer answer.Body.Close()
	timer := time.AfterFunc(answerBodyTime, cancel)
	_, _ = io.CopyN(io.Discard, answer.Body, maxAnswerBody) // whatever it is, the status has been read
	timer.Stop()
	r := result{status: answer.StatusCode, retryAfter: retryAfter(answer.Header.Get("Retry-After"), now)}
	switch {
	case r.status/100 == 2:
	case r.status/100 == 3:
		r.err = fmt.Errorf("it answered %d, and redirects are not followed", r.status)
	case r.gone():
		r.err = errors.New("it answered 410: nothing more is sent to it until its entry changes or the server starts again")
	default:
		r.err = fmt.Errorf("it answered %d", r.status)
	}
	return r
}

// plain returns the reason of a failed request, without the URL, which may hold a secret, and
// without anything of the answer, which may come from a service that is none of ours.
func plain(err error) error {
	var (
		dns         *net.DNSError
		network     *net.OpError
		certificate *tls.CertificateVerificationError
		alert       tls.AlertError
		record      tls.RecordHeaderError
	)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer within %v", attemptTimeout)
	case errors.Is(err, errForbiddenAddress):
		return errForbiddenAddress
	case errors.As(err, &dns):
		return dns
	case errors.As(err, &certificate):
		return certificate
	case errors.As(err, &alert), errors.As(err, &record):
		return errors.New("no TLS connection can be made with it")
	case errors.As(err, &network):
		return network
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it closed the connection without an answer")
	}
	return errors.New("its answer is not one of HTTP, or too large")
}

// retryAfter reads the header of that name (RFC 9110, section 10.2.3): seconds, or a date.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
