package schemas

// Problem is the body of every error answer (RFC 9457).
type Problem struct {
	Type     string       `json:"type"` // "/problems/" and the slug
	Title    string       `json:"title"`
	Status   int          `json:"status"` // the HTTP status
	Detail   string       `json:"detail,omitempty"`
	Instance string       `json:"instance,omitempty"` // the request's id
	Errors   []FieldError `json:"errors,omitempty"`
	// RetryAfter is how many seconds to wait before a retry: of one of several messages, which
	// has no header of that name; otherwise 0.
	RetryAfter int `json:"retry_after,omitempty"`

	Offset *int64 `json:"offset,omitempty"` // of a text: how many bytes are held
	State  string `json:"state,omitempty"`  // of a text whose attempt has ended
}

// FieldError is one fault of a JSON document.
type FieldError struct {
	Pointer string `json:"pointer"` // RFC 6901; "" is the whole document
	Detail  string `json:"detail"`
}
