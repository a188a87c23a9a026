package handlers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/labstack/echo/v4"
)

// errUnsent is the error of an answer that did not reach the client, because the client
// has left or accepts nothing.
var errUnsent = errors.New("handlers: the client did not accept the answer")

// unsent wraps an error of writing to the client; nil stays nil.
func unsent(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errUnsent, err)
}

// answer writes v as JSON. Unlike echo's own method, it leaves <, > and & as they are,
// and sends the status only once v is encoded.
func answer(c echo.Context, status int, v any) error {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("handlers: encoding an answer: %w", err)
	}
	c.Response().Header().Set(echo.HeaderCacheControl, "no-store")
	return respond(c, status, echo.MIMEApplicationJSON, body.Bytes())
}

// respond sends a complete body.
func respond(c echo.Context, status int, media string, body []byte) error {
	return unsent(c.Blob(status, media, body))
}
