package tracing

import "time"

// Request has the spans of one request. Its methods may be called on nil, which has none.
type Request struct {
	tracer    *Tracer
	operation string
	parent    Parent
	at        time.Time // when it came in
	begun     bool
	kept      bool  // something else ends the span
	span      *Span // nil: it has not begun, the trace is not sampled, or each message begins one
	each      bool  // each message has a span of its own
}

// Request returns the spans of a request that came in at the given time. It returns nil if t is
// nil.
func (t *Tracer) Request(operation string, parent Parent, at time.Time) *Request {
	if t == nil {
		return nil
	}
	return &Request{tracer: t, operation: operation, parent: parent, at: at}
}

// Begin begins the span of the request, once. Without it, that begins with the first message,
// or with the answer: the message may name another parent.
func (r *Request) Begin() {
	if r != nil && !r.begun {
		r.begun, r.span = true, r.tracer.Start(r.operation, r.parent, r.at)
	}
}

// Answered ends the span of the request.
func (r *Request) Answered(a Answer) {
	r.Begin()
	if r != nil && !r.kept {
		r.span.Answered(a)
	}
}

// Subscribes begins the span of a request for a stream. It returns what ends the span: the
// stream has sent what was there, or has ended before that. Whoever has opened the stream calls
// [Request.Opened].
func (r *Request) Subscribes(channels []string) (sent func(messages int64, complete bool)) {
	span := r.Span()
	if span == nil {
		return nil
	}
	span.subscribes(channels)
	return span.sent
}

// Opened says that the request is answered with a stream, which ends its span.
func (r *Request) Opened(a Answer) {
	if r != nil {
		r.kept = true
		r.span.answers(a)
	}
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
		r.Begin()
		r.each = true
		r.span.Batch(messages)
	}
}

// Lines gives each message of the request a span of its own, and the request none: it may go
// on for days.
func (r *Request) Lines() {
	if r != nil {
		r.each, r.begun, r.span = true, true, nil
	}
}

// Message returns the span in which a message of the request is published, nil if it has none,
// and what ends it. The message may name a parent of its own. Once [Request.Each] was called, it
// is safe for concurrent use.
func (r *Request) Message(traceparent string) (span *Span, end func(problem string, fault bool)) {
	own := traceparent != "" && traceparent != r.parent.Traceparent
	switch {
	case !r.each:
		if own && !r.begun {
			r.parent = Parent{Traceparent: traceparent}
		}
		r.Begin()
		return r.span, func(string, bool) {} // ends with the request
	case own:
		span = r.tracer.Start(Publish, Parent{Traceparent: traceparent}, time.Now())
	case r.span != nil:
		span = r.span.Child(Publish)
	default:
		span = r.tracer.Start(Publish, r.parent, time.Now())
	}
	return span, span.End
}
