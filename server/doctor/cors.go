package doctor

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// cors asks as a browser does for a page of another origin: whether it may, and then.
func (e *examination) cors(ctx context.Context, origin string) {
	const check = "cors"
	if u, err := url.Parse(origin); err != nil || u.Host == "" || u.Scheme+"://"+u.Host != origin {
		e.fault(check, "An origin is a scheme, a host and perhaps a port, and no more.", "%q is not an origin", origin)
		return
	}
	if origin == e.base.Scheme+"://"+e.base.Host {
		e.fine(check, "%s is the server's own origin", origin)
		return
	}
	preflight := http.Header{
		"Origin":                         {origin},
		"Access-Control-Request-Method":  {http.MethodGet},
		"Access-Control-Request-Headers": {"authorization,last-event-id"},
	}
	for _, r := range []request{
		{method: http.MethodOptions, path: "/v1/subscribe", header: preflight},
		{method: http.MethodGet, path: "/v1/subscribe", header: http.Header{"Origin": {origin}}}, // refused, which pages must be able to read
	} {
		a, err := e.ask(ctx, r)
		if err != nil {
			e.fault(check, "Does the proxy pass on OPTIONS?", "no answer to a request of %s: %v", origin, err)
			return
		}
		allowed := a.Header.Values("Access-Control-Allow-Origin")
		switch {
		case len(allowed) > 1:
			e.fault(check, "Let one of them do it: remove the header in the proxy.", "answers to %s have Access-Control-Allow-Origin %d times: the proxy adds its own", origin, len(allowed))
			return
		case len(allowed) == 0 || allowed[0] != origin && allowed[0] != "*":
			e.fault(check, "Add it: --cors-origins "+origin, "pages of %s may not read streams", origin)
			return
		case r.method == http.MethodOptions && !covers(a.Header.Values("Access-Control-Allow-Headers"), "authorization"):
			e.fault(check, "Let the proxy pass on OPTIONS and its answer unchanged.", "pages of %s may not send Authorization", origin)
			return
		}
	}
	e.fine(check, "pages of %s may read streams", origin)
}

// covers reports whether a list in a header has a name.
func covers(values []string, name string) bool {
	for _, item := range strings.Split(strings.Join(values, ","), ",") {
		if strings.EqualFold(strings.TrimSpace(item), name) {
			return true
		}
	}
	return false
}
