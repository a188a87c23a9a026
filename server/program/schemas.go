package program

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sluicehq/sluice/client"
	"github.com/sluicehq/sluice/schemas"
)

// schemasPushCmd is the command schemas push.
type schemasPushCmd struct {
	connection `embed:""`
	repeated   `embed:""`

	File string `arg:"" help:"File with channel definitions, like the --channels file of the server."`
}

// Help implements [kong.HelpProvider].
func (*schemasPushCmd) Help() string {
	return `Adds the definitions in the file to those of the server and replaces those with the same name. Other definitions stay. Prints the result for each definition. If the file has faults, nothing is sent and all faults are listed.

Example:

    sluice schemas push channels.yaml`
}

// Run implements the command.
func (c *schemasPushCmd) Run(ctx context.Context, std *streams) error {
	definitions, err := c.load()
	if err != nil {
		return err
	}
	server, err := c.client(c.option())
	if err != nil {
		return err
	}
	defer server.Close()
	there, err := server.Definitions(ctx)
	if err != nil {
		return err
	}
	refused := 0
	for _, definition := range definitions {
		var err error
		change := changeOf(definition, there)
		if change != unchanged {
			err = server.PutDefinition(ctx, definition)
		}
		var problem *client.Problem
		switch {
		case err == nil:
			fmt.Fprintf(std.out, "%-9s %s\n", change, definition.Name)
		case errors.As(err, &problem) && problem.Status == http.StatusUnprocessableEntity: // it ties with one that is there
			refused++
			fmt.Fprintf(std.err, "sluice: %s: %v\n", definition.Name, problem)
		default:
			return fmt.Errorf("%s: %w", definition.Name, err)
		}
	}
	if refused > 0 {
		return fmt.Errorf("%d of %d definitions were refused", refused, len(definitions))
	}
	return nil
}

// load reads the file. All its faults, including ties among its definitions, are one
// [*usageError].
func (c *schemasPushCmd) load() ([]schemas.Definition, error) {
	definitions, err := schemas.LoadDefinitions(c.File)
	if err == nil {
		err = schemas.NewCatalog(schemas.Limits{}).PutAll(definitions)
	}
	var faulty *schemas.DefinitionError
	switch {
	case errors.As(err, &faulty):
		usage := &usageError{}
		for _, f := range faulty.Errors {
			usage.faults = append(usage.faults, strings.TrimSpace(fmt.Sprintf("%s: %s %s", c.File, f.Pointer, f.Detail)))
		}
		return nil, usage
	case err != nil:
		return nil, usagef("%v", err)
	}
	return definitions, nil
}

// What pushing does to a definition.
const (
	added     = "added"
	changed   = "changed"
	unchanged = "unchanged"
)

func changeOf(definition schemas.Definition, there []schemas.Definition) string {
	i := slices.IndexFunc(there, func(d schemas.Definition) bool { return d.Name == definition.Name })
	switch {
	case i < 0:
		return added
	case bytes.Equal(documentOf(definition), documentOf(there[i])):
		return unchanged
	}
	return changed
}

// documentOf returns the JSON of a definition. Equal definitions have equal JSON, except
// for the order of members in a schema.
func documentOf(definition schemas.Definition) []byte {
	text, err := json.Marshal(definition)
	if err != nil {
		panic("a definition does not marshal: " + err.Error())
	}
	return text
}

// schemasListCmd is the command schemas list.
type schemasListCmd struct {
	connection `embed:""`
	repeated   `embed:""`
}

// Help implements [kong.HelpProvider].
func (*schemasListCmd) Help() string {
	return `Prints a line for each definition, with its name and its topics. Channels with a strict definition refuse all other topics.

Example:

    sluice schemas list`
}

// Run implements the command.
func (c *schemasListCmd) Run(ctx context.Context, std *streams) error {
	server, err := c.client(c.option())
	if err != nil {
		return err
	}
	defer server.Close()
	definitions, err := server.Definitions(ctx)
	if err != nil {
		return err
	}
	width := 0
	for _, d := range definitions {
		width = max(width, utf8.RuneCountInString(d.Name))
	}
	for _, d := range definitions {
		topics := strings.Join(slices.Sorted(maps.Keys(d.Topics)), ", ")
		if d.Strict {
			topics += " (strict)"
		}
		fmt.Fprintln(std.out, strings.TrimRight(fmt.Sprintf("%-*s  %s", width, d.Name, topics), " "))
	}
	return nil
}

// schemasGetCmd is the command schemas get.
type schemasGetCmd struct {
	connection `embed:""`
	repeated   `embed:""`

	Name string `arg:"" help:"Name of the definition, such as pipeline:{runId}."`
}

// Help implements [kong.HelpProvider].
func (*schemasGetCmd) Help() string {
	return `Prints the definition as one line of JSON.

Example:

    sluice schemas get 'pipeline:{runId}' | jq .topics`
}

// Run implements the command.
func (c *schemasGetCmd) Run(ctx context.Context, std *streams) error {
	server, err := c.client(c.option())
	if err != nil {
		return err
	}
	defer server.Close()
	definition, err := server.Definition(ctx, c.Name)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, "%s\n", documentOf(definition))
	return err
}

// schemasDeleteCmd is the command schemas delete.
type schemasDeleteCmd struct {
	connection `embed:""`
	repeated   `embed:""`

	Name string `arg:"" help:"Name of the definition, such as pipeline:{runId}."`
}

// Help implements [kong.HelpProvider].
func (*schemasDeleteCmd) Help() string {
	return `Removes the definition. Messages of its channels are no longer checked against it.

Example:

    sluice schemas delete 'pipeline:{runId}'`
}

// Run implements the command.
func (c *schemasDeleteCmd) Run(ctx context.Context, _ *streams) error {
	server, err := c.client(c.option())
	if err != nil {
		return err
	}
	defer server.Close()
	return server.DeleteDefinition(ctx, c.Name)
}
