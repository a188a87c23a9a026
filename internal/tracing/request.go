package tracing

import "time"

// Request has the spans of one request. Its methods may be called on nil, which has none.
type Request struct {
	tracer *Tracer
	parent Parent
	span   *Span // nil: the trace is not sampled, or each message begins one
	each   bool  // each message has a span of its own
}

// Request begins the span of a request that came in at the given time. It returns nil if t is
// nil.
func (t *Tracer) Request(operation string, parent Parent, at time.Time) *Request {
	if t == nil {
		return nil
	}
	return &Request{tracer: t, parent: parent, span: t.Start(operation, parent, at)}
}

// Span returns the span of the request, nil if it has none.
func (r *Request) Span() *Span {
	if r == nil {
		return nil
	}
	return r.span
}

// Traceparent returns the span of the request as the parent of what follows from it, "" if it
// has none or each message has its own.
func (r *Request) Traceparent() string {
	if r == nil || r.each {
		return ""
	}
	return r.span.Traceparent()
}

// Each gives each of the messages of the request a span of its own, within that of the
// request.
func (r *Request) Each(messages int) {
	if r != nil {
		r.each = true
		r.span.Batch(messages)
	}
}

// Lines gives each message of the request a span of its own, and the request none: it may go
// on for days.
func (r *Request) Lines() {
	if r != nil {
		r.each, r.span = true, nil
	}
}

// Message returns the span in which a message of the request is published, nil if it has none,
// and what ends it. Safe for concurrent use.
func (r *Request) Message() (span *Span, end func(problem string, fault bool)) {
	switch {
	case !r.each:
		return r.span, func(string, bool) {} // ends with the request
	case r.span != nil:
		span = r.span.Child(Publish)
	default:
		span = r.tracer.Start(Publish, r.parent, time.Now())
	}
	return span, span.End
}
