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

	"github.com/sluicehq/sluice/schemas"
)

// bodyTimeout is how long a client may take to send a body that is read whole.
const bodyTimeout = 30 * time.Second

// buffers are reused for bodies and lines.
type buffers struct{ pool sync.Pool }

// maxPooled is how large a buffer may be to be kept for the next body.
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
	control := controller(c)
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout)) // not every connection has deadlines
	defer a.untilStop(control)()
	_, err := b.ReadFrom(http.MaxBytesReader(c.Response().Writer, c.Request().Body, limit))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return fmt.Errorf("%w: the body has more than %d bytes", ErrTooLarge, limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w: the body did not arrive within %v", ErrMalformed, bodyTimeout)
	case err != nil:
		return errBrokeOff()
	}
	return nil
}

// errBrokeOff is the error of a body that did not come to its end. What the
// connection said is left out: it names addresses of ours.
func errBrokeOff() error { return fmt.Errorf("%w: the body broke off", ErrMalformed) }

// plainCoding refuses bodies that are compressed, which would otherwise be taken
// for what they are not.
func plainCoding(c echo.Context) error {
	coding := c.Request().Header.Get(echo.HeaderContentEncoding)
	if coding == "" || strings.EqualFold(coding, "identity") {
		return nil
	}
	return fmt.Errorf("%w: Content-Encoding %q, only plain bodies are read", ErrUnsupportedMediaType, coding)
}

// mediaType returns the body's media type, "" if none is given, and refuses a
// charset other than UTF-8 and a body that is compressed.
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
		return media, nil
	default:
		return "", fmt.Errorf("%w: charset %q, only UTF-8 is read", ErrUnsupportedMediaType, charset)
	}
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
		return fmt.Errorf("%w: not JSON: %w", ErrMalformed, err)
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

// decodeStrict reads one JSON value into v. It refuses anything after the value,
// text that is not UTF-8, and members that an [object] does not know or that
// stand there twice.
func decodeStrict(data []byte, v any) error {
	if !utf8.Valid(data) {
		return fmt.Errorf("%w: the JSON is not UTF-8", ErrMalformed)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return jsonFault(err)
	}
	if o, ok := v.(object); ok {
		return checkMembers(data, o)
	}
	return nil
}

// jsonFault says what the decoder found, in the words of JSON and not of Go.
func jsonFault(err error) error {
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &mismatch) {
		pointer := ""
		if mismatch.Field != "" {
			pointer = "/" + strings.ReplaceAll(mismatch.Field, ".", "/")
		}
		return &fieldsError{[]schemas.FieldError{{Pointer: pointer, Detail: cannotBe(mismatch.Value)}}}
	}
	return fmt.Errorf("%w: not JSON: %w", ErrMalformed, err)
}

// cannotBe says that a JSON value is of a kind that is not wanted there.
func cannotBe(kind string) string {
	if kind == "array" || kind == "object" {
		return "cannot be an " + kind
	}
	return "cannot be a " + kind
}

// unsupported says which media types are read instead of this one.
func unsupported(media, instead string) error {
	return fmt.Errorf("%w: %q; send %s", ErrUnsupportedMediaType, media, instead)
}
