package doctor

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
)

// webhooks asks the server how sending to its webhooks goes.
func (e *examination) webhooks(ctx context.Context) {
	const check = "webhooks"
	a, err := e.ask(ctx, request{method: http.MethodGet, path: "/v1/webhooks", bearer: e.APIKey})
	if err != nil || a.StatusCode != http.StatusOK {
		return // the server is an older one, or something else is wrong that is told elsewhere
	}
	var now struct {
		Webhooks []struct {
			URL       string `json:"url"`
			Pending   int    `json:"pending"`
			GivenUp   int64  `json:"given_up"`
			LastError string `json:"last_error"`
		} `json:"webhooks"`
		Sending   bool   `json:"sending"`
		FileFault string `json:"file_fault"`
	}
	if err := json.Unmarshal(a.body, &now); err != nil {
		e.fault(check, "Something in between answers in the server's place.", "the server's answer about its webhooks is not JSON")
		return
	}
	if now.FileFault != "" {
		e.warn(check, "Repair the file; sluice serve --check prints all its faults.", "the file of webhooks was refused, and an older version is in use: %s", now.FileFault)
	}
	for _, hook := range now.Webhooks {
		host := hook.URL
		if u, err := url.Parse(hook.URL); err == nil {
			host = u.Host
		}
		switch {
		case hook.LastError != "":
			e.warn(check, "Does it answer with 2xx? Each event is retried for an hour.", "%s accepts nothing at the moment, and %d events are pending: %s", host, hook.Pending, hook.LastError)
		case hook.GivenUp > 0:
			e.warn(check, "The log says why: webhook events given up.", "%s has missed %d events", host, hook.GivenUp)
		}
	}
	switch {
	case len(now.Webhooks) == 0:
	case !now.Sending:
		e.warn(check, "That is normal for some seconds after a node was lost. If it lasts, look at the engine.", "no node sends events at the moment")
	default:
		e.fine(check, "%d in the file", len(now.Webhooks))
	}
}
