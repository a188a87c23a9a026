package client_test

import (
	"errors"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/client"
	"github.com/sluicehq/sluice/schemas"
)

// decoding returns a client behind a proxy that decodes and resolves paths, like nginx with a
// path in proxy_pass.
func decoding(t *testing.T) *client.Client {
	t.Helper()
	s := startServer()
	t.Cleanup(s.stop)
	target := must(url.Parse(s.url))
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.URL.Path, r.Out.URL.RawPath = path.Clean(r.In.URL.Path), ""
	}, FlushInterval: -1})
	t.Cleanup(proxy.Close)
	return clientOf(t, proxy.URL)
}

// In every call, names reach the server unchanged through such a proxy.
func TestClient_namesPassProxies(t *testing.T) {
	c := decoding(t)
	for _, channel := range []string{"a/b", "...", "a/..b", "a//b", "/a", "a/", "100%", "a%2Fb", "a+b", "a&channel=c", "a=b;c", "grün:1"} {
		t.Run(channel, func(t *testing.T) {
			receipt, err := c.Publish(t.Context(), channel, "t.-", 1, client.RunID("r/../1"))
			if err != nil || string(receipt.Channel) != channel || receipt.Topic != "t.-" {
				t.Errorf("publish: %+v, %v", receipt, err)
			}
			receipt, err = c.SetRun(t.Context(), channel, client.RunState{Status: client.RunRunning, RunID: "r"})
			if err != nil || string(receipt.Channel) != channel {
				t.Errorf("run: %+v, %v", receipt, err)
			}
			streamed, err := c.PublishStream(t.Context(), channel, "log", strings.NewReader("text"))
			if err != nil || streamed.Chunks != 1 {
				t.Errorf("stream: %+v, %v", streamed, err)
			}
			for message, err := range c.Subscribe(t.Context(), client.Subscription{Channels: []string{channel}, Topics: []string{"t.-"}, Replay: "all"}) {
				if err != nil || string(message.Channel) != channel || message.RunID != "r/../1" && message.Kind == schemas.KindData {
					t.Errorf("subscribe: %+v, %v", message, err)
				}
				break
			}
			definition := schemas.Definition{Name: channel + ":{id}", Strict: true}
			if err := c.PutDefinition(t.Context(), definition); err != nil {
				t.Errorf("define: %v", err)
			}
			if got, err := c.Definition(t.Context(), definition.Name); err != nil || got.Name != definition.Name {
				t.Errorf("definition: %+v, %v", got, err)
			}
			if err := c.DeleteDefinition(t.Context(), definition.Name); err != nil {
				t.Errorf("delete: %v", err)
			}
		})
	}
}

// A name that is a dot segment of a path is refused, and never becomes another name.
func TestClient_dotSegmentsRefused(t *testing.T) {
	c := decoding(t)
	for _, name := range []string{".", "..", "a/../b", "../b", "./a"} {
		for what, call := range map[string]func() error{
			"channel": func() error { _, err := c.Publish(t.Context(), name, "t", 1); return err },
			"topic":   func() error { _, err := c.Publish(t.Context(), "c", name, 1); return err },
			"stream": func() error {
				_, err := c.PublishStream(t.Context(), name, "t", strings.NewReader("x"))
				return err
			},
			"run": func() error {
				_, err := c.SetRun(t.Context(), name, client.RunState{Status: client.RunRunning})
				return err
			},
			"subscribe": func() error {
				for _, err := range c.Events(t.Context(), client.Subscription{Channels: []string{name}}) {
					return err
				}
				return nil
			},
			"define": func() error { return c.PutDefinition(t.Context(), schemas.Definition{Name: name}) },
			"made of parameters": func() error {
				_, err := client.Channel{Name: "{a}"}.For(client.Params{"a": name})
				return err
			},
		} {
			err := call()
			problem := (*client.Problem)(nil)
			if !errors.As(err, &problem) && !errors.Is(err, client.ErrBadParams) || problem != nil && problem.Status >= 500 {
				t.Errorf("%s %q: %v", what, name, err)
			}
		}
	}
}
