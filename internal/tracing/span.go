package tracing

import (
	"context"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// system is the value of messaging.system.
const system = "sluice"

// The operations: names of spans, and values of messaging.operation.name.
const (
	Publish   = "publish"   // a request that publishes, or one message of it
	Append    = "append"    // the engine gives a message its position and keeps it
	Deliver   = "deliver"   // a message goes to the readers of one node
	Subscribe = "subscribe" // a request for a stream, until that has sent what was there
)

// Attributes that the semantic conventions have no name for.
const (
	topicKey     = attribute.Key("sluice.topic")
	engineKey    = attribute.Key("sluice.engine") // of the resource
	duplicateKey = attribute.Key("sluice.duplicate")
	chunksKey    = attribute.Key("sluice.text.chunks")
	readersKey   = attribute.Key("sluice.readers")
	behindKey    = attribute.Key("sluice.readers.behind")
	channelsKey  = attribute.Key("sluice.channels")
)

// Span is something that takes time. The methods of a nil Span do nothing. A Span is not safe
// for concurrent use, but children may be made at any time.
type Span struct {
	// Static after construction.
	tracer    *Tracer
	ctx       context.Context // of its children
	span      trace.Span
	operation string
}

// Child begins a span within s.
func (s *Span) Child(operation string) *Span {
	if s == nil {
		return nil
	}
	return s.tracer.start(s.ctx, operation, trace.SpanKindInternal, time.Now())
}

// Traceparent returns s as the parent of what follows from it (W3C Trace Context, section
// 3.2).
func (s *Span) Traceparent() string {
	if s == nil {
		return ""
	}
	c := s.span.SpanContext()
	return "00-" + c.TraceID().String() + "-" + c.SpanID().String() + "-" + c.TraceFlags().String()
}

// TraceID returns the id of the trace that s is part of.
func (s *Span) TraceID() string {
	if s == nil {
		return ""
	}
	return s.span.SpanContext().TraceID().String()
}

// Message is the message that a span is about. Zero fields are unknown.
type Message struct {
	Channel   string
	Template  string // of the channel's definition
	Topic     string
	ID        string
	Bytes     int // of the data
	Duplicate bool
}

// attributes returns what spans say of m.
func (m Message) attributes() []attribute.KeyValue {
	list := make([]attribute.KeyValue, 0, 6)
	add := func(key attribute.Key, value string) {
		if value != "" {
			list = append(list, key.String(value))
		}
	}
	add(semconv.MessagingDestinationNameKey, m.Channel)
	add(semconv.MessagingDestinationTemplateKey, m.Template)
	add(semconv.MessagingMessageIDKey, m.ID)
	add(topicKey, m.Topic)
	if m.Bytes > 0 {
		list = append(list, semconv.MessagingMessageBodySize(m.Bytes))
	}
	if m.Duplicate {
		list = append(list, duplicateKey.Bool(true))
	}
	return list
}

// Sends says which message a span publishes. A span is named after the template of its
// channel, since there may be any number of channels.
func (s *Span) Sends(m Message) {
	if s == nil {
		return
	}
	s.span.SetAttributes(semconv.MessagingOperationTypeSend)
	s.about(m)
}

func (s *Span) about(m Message) {
	s.span.SetAttributes(m.attributes()...)
	if m.Template != "" {
		s.span.SetName(s.operation + " " + m.Template)
	}
}

// Batch says of how many messages a request is.
func (s *Span) Batch(messages int) {
	if s != nil {
		s.span.SetAttributes(semconv.MessagingOperationTypeSend, semconv.MessagingBatchMessageCount(messages))
	}
}

// Chunks says in how many pieces a request has published a text.
func (s *Span) Chunks(n int64) {
	if s != nil {
		s.span.SetAttributes(chunksKey.Int64(n))
	}
}

// Answer is how a request was answered.
type Answer struct {
	Method, Route string
	Status        int
	Problem       string // "" if there was none
}

// Answered ends the span of a request.
func (s *Span) Answered(a Answer) {
	if s == nil {
		return
	}
	s.answers(a)
	s.fail(a.Problem, a.Status >= http.StatusInternalServerError)
	s.span.End()
}

func (s *Span) answers(a Answer) {
	if s != nil {
		s.span.SetAttributes(semconv.HTTPRequestMethodKey.String(a.Method), semconv.HTTPRoute(a.Route), semconv.HTTPResponseStatusCode(a.Status))
	}
}

// subscribes says which channels and patterns a span asks for.
func (s *Span) subscribes(channels []string) {
	s.span.SetAttributes(semconv.MessagingOperationTypeReceive, channelsKey.Int(len(channels)))
	if len(channels) == 1 {
		s.span.SetAttributes(semconv.MessagingDestinationName(channels[0]))
	}
}

// sent ends the span of a request for a stream.
func (s *Span) sent(messages int64, complete bool) {
	s.span.SetAttributes(semconv.MessagingBatchMessageCount(int(messages)))
	if !complete {
		s.fail("left", false)
	}
	s.span.End()
}

// fail notes a problem, and whether it is a fault of the server.
func (s *Span) fail(problem string, fault bool) {
	if problem != "" {
		s.span.SetAttributes(semconv.ErrorTypeKey.String(problem))
	}
	if fault {
		s.span.SetStatus(codes.Error, problem)
	}
}

// End ends the span of something that is no request. problem is "" if it succeeded.
func (s *Span) End(problem string, fault bool) {
	if s == nil {
		return
	}
	s.fail(problem, fault)
	s.span.End()
}
