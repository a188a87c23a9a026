package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/sluicehq/sluice/schemas"
)

// Define adds or replaces the definition of a channel, which says what its messages must
// look like. It needs an API key. It returns the errors of [Channel.Definition] and of
// [Client.PutDefinition].
func (c *Client) Define(ctx context.Context, channel Channel) error {
	definition, err := channel.Definition()
	if err != nil {
		return err
	}
	return c.PutDefinition(ctx, definition)
}

// PutDefinition adds a definition or replaces the one with its name, completely or not at
// all. A definition that conflicts with another one is a [*Problem] with status 422.
// Transient failures are retried. It needs an API key.
func (c *Client) PutDefinition(ctx context.Context, definition schemas.Definition) error {
	r := request{method: http.MethodPut, path: definitionPath, query: url.Values{"name": {definition.Name}}, repeat: ifTransient}
	return c.callJSON(ctx, r, definition, nil)
}

// Definitions returns all definitions of the server, ordered by name.
func (c *Client) Definitions(ctx context.Context) ([]schemas.Definition, error) {
	var list struct {
		Schemas []schemas.Definition `json:"schemas"`
	}
	r := request{method: http.MethodGet, path: "/v1/schemas", repeat: ifTransient, long: true}
	err := c.call(ctx, r, &list)
	return list.Schemas, err
}

// Definition returns the definition with the given name. If there is none, the error is a
// [*Problem] with status 404.
func (c *Client) Definition(ctx context.Context, name string) (schemas.Definition, error) {
	var definition schemas.Definition
	r := request{method: http.MethodGet, path: definitionPath, query: url.Values{"name": {name}}, repeat: ifTransient}
	err := c.call(ctx, r, &definition)
	return definition, err
}

// DeleteDefinition removes the definition with the given name. If there is none, the error
// is a [*Problem] with status 404. It needs an API key.
func (c *Client) DeleteDefinition(ctx context.Context, name string) error {
	// A retry after a lost answer would report that there is none.
	r := request{method: http.MethodDelete, path: definitionPath, query: url.Values{"name": {name}}, repeat: ifUndone}
	return c.call(ctx, r, nil)
}
