package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/sluicehq/sluice/schemas"
)

// Define tells the server what a channel's messages must be like, or replaces
// what it knew. The client's credential must be an API key. It returns the errors
// of [Channel.Definition] and of [Client.PutDefinition].
func (c *Client) Define(ctx context.Context, channel Channel) error {
	definition, err := channel.Definition()
	if err != nil {
		return err
	}
	return c.PutDefinition(ctx, definition)
}

// PutDefinition adds a definition or replaces the one of its name, as a whole or
// not at all; one that cannot stand beside another is a [*Problem] with status
// 422. What fails in passing is tried again. It needs an API key.
func (c *Client) PutDefinition(ctx context.Context, definition schemas.Definition) error {
	r := request{method: http.MethodPut, path: definitionPath(definition.Name), repeat: ifPassing}
	return c.callJSON(ctx, r, definition, nil)
}

// Definitions returns all definitions of the server, in the order of their names.
func (c *Client) Definitions(ctx context.Context) ([]schemas.Definition, error) {
	var list struct {
		Schemas []schemas.Definition `json:"schemas"`
	}
	r := request{method: http.MethodGet, path: "/v1/schemas", repeat: ifPassing, long: true}
	err := c.call(ctx, r, &list)
	return list.Schemas, err
}

// Definition returns the definition of that name; if there is none, a [*Problem]
// with status 404.
func (c *Client) Definition(ctx context.Context, name string) (schemas.Definition, error) {
	var definition schemas.Definition
	err := c.call(ctx, request{method: http.MethodGet, path: definitionPath(name), repeat: ifPassing}, &definition)
	return definition, err
}

// DeleteDefinition removes the definition of that name; if there is none, it is a
// [*Problem] with status 404. It needs an API key.
func (c *Client) DeleteDefinition(ctx context.Context, name string) error {
	// Another try after a lost answer would say that there is none.
	return c.call(ctx, request{method: http.MethodDelete, path: definitionPath(name), repeat: ifUndone}, nil)
}

func definitionPath(name string) string { return "/v1/schemas/" + url.PathEscape(name) }
