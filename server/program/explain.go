package program

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/sluicehq/sluice/client"
)

// explained is an error with a text that helps whoever runs the command.
type explained struct {
	text string
	err  error
}

// Error returns the text.
func (e *explained) Error() string { return e.text }

// Unwrap returns the error that the text explains.
func (e *explained) Unwrap() error { return e.err }

// target is the server that a command speaks to.
type target struct {
	url        string // "": it speaks to none
	key, token string // where they were given: "SLUICE_API_KEY" or "--api-key"; "": they were not
	tokens     bool   // the command accepts tokens
}

// targetOf returns the target of the selected command.
func (s *settings) targetOf(parsed *kong.Context) target {
	var to target
	for _, flag := range parsed.Selected().Flags {
		given, _ := parsed.FlagValue(flag).(string)
		switch {
		case flag.Name == "url":
			to.url = given
		case flag.Name == "token":
			to.tokens = true
			if given != "" {
				to.token = s.place(flag.Name)
			}
		case flag.Name == "api-key" && given != "":
			to.key = s.place(flag.Name)
		}
	}
	return to
}

// explain says what is wrong if err is due to one of the mistakes that everybody makes at
// first: no key, a wrong key, no server, or something else at the address of the server.
func (t target) explain(err error) error {
	problem, dial := (*client.Problem)(nil), (*net.OpError)(nil)
	switch {
	case err == nil || t.url == "" || errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &problem) && problem.Status == http.StatusUnauthorized:
		return &explained{fmt.Sprintf("%d %s: %s", problem.Status, problem.Title, t.unauthorized()), err}
	case errors.As(err, &problem) && problem.Status == http.StatusNotFound && !strings.HasPrefix(problem.Type, "/problems/"):
		return &explained{fmt.Sprintf("no Sluice at %s, which answers %d %s; is SLUICE_URL right?", t.url, problem.Status, problem.Title), err}
	case errors.Is(err, client.ErrNotEventStream):
		return &explained{fmt.Sprintf("no Sluice at %s: %v; is SLUICE_URL right?", t.url, err), err}
	case errors.As(err, &dial) && dial.Op == "dial":
		return &explained{fmt.Sprintf("cannot reach %s: %v; start a server with sluice --dev, or set SLUICE_URL", t.url, dial.Err), err}
	}
	if request := (*url.Error)(nil); errors.As(err, &request) && err.Error() == request.Error() {
		return &explained{fmt.Sprintf("%s: %v", t.url, request.Err), err}
	}
	return err
}

func (t target) unauthorized() string {
	switch {
	case t.key != "":
		return "the API key in " + t.key + " is not one of those of " + t.url
	case t.token != "":
		return t.url + " does not accept the token in " + t.token + ", which may have expired"
	case t.tokens:
		return "no API key was given; set SLUICE_API_KEY, or SLUICE_TOKEN to a token (sluice --dev prints its key)"
	}
	return "no API key was given; set SLUICE_API_KEY (sluice --dev prints its key)"
}

// wrongUse returns the error for a command line that kong does not accept.
func wrongUse(app *kong.Application, args []string, err error) error {
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		if names := commandsOf(app.Node); !names[args[0]] {
			return usagef("%q is not a command%s", args[0], suggestion(args[0], names))
		}
	}
	text, help := unmarked(err.Error()), "sluice"
	if strings.HasSuffix(text, "?") { // kong has a suggestion
		return usagef("%s", text)
	}
	if parse := (*kong.ParseError)(nil); errors.As(err, &parse) {
		for _, part := range parse.Context.Path {
			if part.Command != nil && part.Command != app.DefaultCmd {
				help += " " + part.Command.Name
			}
		}
	}
	return usagef("%s; see %s --help", text, help)
}

// commandsOf returns the names of the commands of a node.
func commandsOf(node *kong.Node) map[string]bool {
	names := make(map[string]bool)
	for _, child := range node.Children {
		if !child.Hidden {
			names[child.Name] = true
		}
	}
	return names
}

// suggestion names the command that was probably meant, or else where all are listed.
func suggestion(word string, names map[string]bool) string {
	best, least := "", 3
	for name := range names {
		d := edits(word, name)
		if len(word) > 2 && strings.HasPrefix(name, word) {
			d = 1
		}
		if d < least || d == least && name < best {
			best, least = name, d
		}
	}
	if best == "" {
		return "; see sluice --help"
	}
	return fmt.Sprintf(", did you mean %q?", best)
}

// edits is the number of letters to insert, delete or replace to turn a into b
// (Levenshtein).
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal, row[j+1] = row[j+1], min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
