package handlers

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/broker/engine/clusterstate"
	"github.com/sluicehq/sluice/internal/strictjson"
	"github.com/sluicehq/sluice/schemas"
)

// maxDefinition limits the body of a definition, in bytes.
const maxDefinition = 512 << 10

// mimeYAML is the media type of YAML (RFC 9512).
const mimeYAML = "application/yaml"

// listSchemas answers GET /v1/schemas.
func (a *api) listSchemas(c echo.Context) error {
	return answer(c, http.StatusOK, struct {
		Schemas []schemas.Definition `json:"schemas"`
	}{a.Catalog.List()})
}

// getSchema answers GET /v1/schemas/{name}.
func (a *api) getSchema(c echo.Context) error {
	name, err := pathParam(c, "name")
	if err != nil {
		return err
	}
	def, err := a.Catalog.Get(name)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, def)
}

// putSchema answers PUT /v1/schemas/{name}. It stores the whole definition or nothing; in a dry
// run nothing, and the answer is that of a run that is not dry.
func (a *api) putSchema(c echo.Context) error {
	name, err := pathParam(c, "name")
	if err != nil {
		return err
	}
	dry := c.QueryParam("dry_run") == "true"
	if c.QueryParams().Has("dry_run") && !dry {
		return fmt.Errorf("%w: dry_run must be true, or left out", ErrMalformed)
	}
	def, err := a.readDefinition(c, name)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if _, err := a.Catalog.Get(name); err != nil {
		status = http.StatusCreated
	}
	put := a.define
	if dry {
		put = func(_ context.Context, def schemas.Definition) error { return a.Catalog.Check(def) }
	}
	if err := put(c.Request().Context(), def); err != nil {
		return err
	}
	return answer(c, status, def)
}

// readDefinition reads the body, JSON or YAML.
func (a *api) readDefinition(c echo.Context, name string) (def schemas.Definition, err error) {
	media, err := mediaType(c)
	if err != nil {
		return def, err
	}
	if media != "" && media != echo.MIMEApplicationJSON && media != mimeYAML {
		return def, unsupported(media, echo.MIMEApplicationJSON+" or "+mimeYAML)
	}
	raw, body := a.buffers.get(), a.buffers.get()
	defer a.buffers.put(raw)
	defer a.buffers.put(body)
	if err := a.readBody(c, raw, maxDefinition); err != nil {
		return def, err
	}
	if media == mimeYAML {
		return schemas.ParseDefinitionYAML(name, raw.Bytes())
	}
	if err := compact(body, raw.Bytes()); err != nil {
		return def, err
	}
	if err := strictjson.CheckDepth(body.Bytes()); err != nil {
		return def, err
	}
	return schemas.ParseDefinition(name, body.Bytes())
}

// define applies a definition on every node. If this node refuses it, the others never
// see it.
func (a *api) define(ctx context.Context, def schemas.Definition) error {
	if err := a.Catalog.Check(def); err != nil {
		return err
	}
	value, err := json.Marshal(def)
	if err != nil {
		return err
	}
	return a.ClusterState.Put(ctx, clusterstate.Item{Kind: kindDefinition, Name: def.Name, Value: value})
}

// deleteSchema answers DELETE /v1/schemas/{name}.
func (a *api) deleteSchema(c echo.Context) error {
	name, err := pathParam(c, "name")
	if err != nil {
		return err
	}
	if _, err := a.Catalog.Get(name); err != nil {
		return err
	}
	if err := a.ClusterState.Put(c.Request().Context(), clusterstate.Item{Kind: kindDefinition, Name: name, Deleted: true}); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
