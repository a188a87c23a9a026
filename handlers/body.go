package handlers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/internal/strictjson"
	"github.com/sluicehq/sluice/schemas"
)

// bodyTimeout is how long a client may take to send a body that is not a stream.
const bodyTimeout = 20 * time.Second

// buffers are reused for bodies and lines.
type buffers struct{ pool sync.Pool }

// maxPooled is the largest buffer that is kept for the next body, in bytes.
const maxPooled = 1 << 20

func (p *buffers) get() *bytes.Buffer {
	if b, ok := p.pool.Get().(*bytes.Buffer); ok {
		b.Reset()
		return b
	}
	return new(bytes.Buffer)
}

func (p *buffers) put(b *bytes.Buffer) {
	if b.Cap() <= maxPooled {
		p.pool.Put(b)
	}
}

// readBody reads the whole body, at most limit bytes, into b.
func (a *api) readBody(c echo.Context, b *bytes.Buffer, limit int64) error {
	if c.Request().ContentLength > limit { // before anything is read, or requested with 100 Continue
		return fmt.Errorf("%w: the body has more than %d bytes", ErrTooLarge, limit)
	}
	control := controller(c)
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout)) // not every connection has deadlines
	defer a.untilStop(control)()
	_, err := b.ReadFrom(http.MaxBytesReader(c.Response().Writer, c.Request().Body, limit))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return fmt.Errorf("%w: the body has more than %d bytes", ErrTooLarge, limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w: %v are allowed for it", ErrBodyTimeout, bodyTimeout)
	case err != nil:
		return errBrokeOff()
	}
	_ = control.SetReadDeadline(time.Time{}) // the handler may take longer than the body
	return nil
}

// errBrokeOff is the error of an incomplete body. It leaves out the error of the
// connection, which names our addresses.
func errBrokeOff() error { return fmt.Errorf("%w: the body broke off", ErrMalformed) }

// plainCoding refuses compressed bodies, which would otherwise be misread.
func plainCoding(c echo.Context) error {
	for coding := range strings.SplitSeq(strings.Join(c.Request().Header.Values(echo.HeaderContentEncoding), ","), ",") {
		if coding = strings.TrimSpace(coding); coding != "" && !strings.EqualFold(coding, "identity") {
			return fmt.Errorf("%w: Content-Encoding %q, only plain bodies are read", ErrUnsupportedMediaType, coding)
		}
	}
	return nil
}

// mediaType returns the body's media type, "" if none is given, and refuses a
// charset other than UTF-8 and a body that is compressed.
//
// A form counts as JSON: "curl -d" calls everything a form, and a real form is not valid
// JSON. A page of another site may send a form without a preflight, but no credential
// comes with it: requests with a body are authenticated by Authorization alone, which a
// form cannot set.
func mediaType(c echo.Context) (string, error) {
	if err := plainCoding(c); err != nil {
		return "", err
	}
	header := c.Request().Header.Get(echo.HeaderContentType)
	if header == "" || header == echo.MIMEApplicationJSON { // most are
		return header, nil
	}
	media, params, err := mime.ParseMediaType(header)
	if err != nil {
		return "", fmt.Errorf("%w: Content-Type %q", ErrUnsupportedMediaType, header)
	}
	switch charset := strings.ToLower(params["charset"]); charset {
	case "", "utf-8", "utf8", "us-ascii":
	default:
		return "", fmt.Errorf("%w: charset %q, only UTF-8 is read", ErrUnsupportedMediaType, charset)
	}
	if media == echo.MIMEApplicationForm {
		return echo.MIMEApplicationJSON, nil
	}
	return media, nil
}

// compact checks that data is one JSON value in UTF-8 and appends it to b
// without insignificant white space, otherwise byte for byte.
func compact(b *bytes.Buffer, data []byte) error {
	if !utf8.Valid(data) {
		return fmt.Errorf("%w: the JSON is not UTF-8", ErrMalformed)
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return fmt.Errorf("%w: the body is empty, JSON is expected", ErrMalformed)
	}
	if err := json.Compact(b, data); err != nil {
		return jsonFault(err)
	}
	return nil
}

// quote appends text as a JSON string to b. Unlike [json.Marshal] it leaves <, >
// and & as they are.
func quote(b *bytes.Buffer, text string) error {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(text); err != nil {
		return err
	}
	b.Truncate(b.Len() - 1) // the line feed that Encode adds
	return nil
}

// decodeStrict reads one JSON value into v. It refuses anything after the value, text
// that is not UTF-8, a value that is nested too deep, and members that an [object] does
// not know or that occur twice.
func decodeStrict(data []byte, v any) error {
	if err := strictjson.Unmarshal(data, v); err != nil {
		return jsonFault(err)
	}
	if o, ok := v.(object); ok {
		return checkMembers(data, o)
	}
	return nil
}

// jsonFault describes an error of the decoder in terms of JSON, not of Go.
func jsonFault(err error) error {
	var mismatch *json.UnmarshalTypeError
	switch {
	case errors.Is(err, strictjson.ErrTooDeep):
		return err
	case errors.Is(err, strictjson.ErrNotUTF8):
		return fmt.Errorf("%w: the JSON is not UTF-8", ErrMalformed)
	case errors.As(err, &mismatch):
		pointer := ""
		if mismatch.Field != "" {
			pointer = "/" + strings.ReplaceAll(mismatch.Field, ".", "/")
		}
		return &fieldsError{[]schemas.FieldError{{Pointer: pointer, Detail: cannotBe(mismatch.Value)}}}
	case strings.Contains(err.Error(), "exceeded max depth"): // the decoder's own limit, far beyond ours
		return strictjson.TooDeep()
	}
	return fmt.Errorf("%w: not JSON: %w", ErrMalformed, err)
}

// cannotBe says that a JSON value is of the wrong kind.
func cannotBe(kind string) string {
	if kind == "array" || kind == "object" {
		return "cannot be an " + kind
	}
	return "cannot be a " + kind
}

// unsupported says which media types to send instead.
func unsupported(media, instead string) error {
	return fmt.Errorf("%w: %q; send %s", ErrUnsupportedMediaType, media, instead)
}
