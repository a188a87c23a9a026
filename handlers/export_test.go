package handlers

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/broker"
)

// Mapped returns the errors in the table of problems.
func Mapped() []error {
	var all []error
	for _, m := range mappings {
		all = append(all, m.err)
	}
	return all
}

// KindOf returns the last part of the type of the problem that err becomes.
func KindOf(err error) string { return string(kindOf(err)) }

// Kinds returns every kind of problem with its status.
func Kinds() map[string]int {
	all := map[string]int{}
	for _, s := range specs {
		all[string(s.kind)] = s.status
	}
	return all
}

// ProblemTable returns every kind of problem as a Markdown table, for
// docs/reference.md.
func ProblemTable() string {
	var b strings.Builder
	b.WriteString("| status | type | when |\n|---|---|---|\n")
	for _, s := range specs {
		fmt.Fprintf(&b, "| %d | `/problems/%s` | %s |\n", s.status, s.kind, s.when)
	}
	return b.String()
}

// ReadLine is readLine.
func ReadLine(in *bufio.Reader, limit int) ([]byte, error) {
	line, err := readLine(in, limit)
	return slices.Clone(line), err
}

// Whole is whole.
func Whole(text []byte, most int) int { return whole(text, most) }

// Sentence is sentence.
func Sentence(err error) string { return sentence(err) }

// Routes returns the routes of a service.
func Routes(s *Service) []*echo.Route { return s.echo.Routes() }

// Route adds a route whose handler is h to a service.
func Route(service http.Handler, path string, h func(http.ResponseWriter) error) {
	service.(*Service).echo.GET(path, func(c echo.Context) error { return h(c.Response()) })
}

// Begin is begin.
func Begin(ctx context.Context, s *Service, sub broker.Subscription, who *auth.Principal) (*broker.Stream, error) {
	return s.api.begin(ctx, sub, &requestInfo{who: who})
}

// Answer adds a route that answers with v.
func Answer(service http.Handler, path string, v any) {
	service.(*Service).echo.GET(path, func(c echo.Context) error { return answer(c, http.StatusOK, v) })
}

// Constants for the tests.
const (
	MaxBatch   = maxBatch
	MaxChunk   = maxChunk
	ChunkDelay = chunkDelay
)
