package handlers_test

import "testing"

// JSON with the content type of a form, which curl -d sends, is accepted. A real form is refused.
func TestForm(t *testing.T) {
	srv := start(t)
	form := func(name, method, path, body string, status int) call {
		return call{name: name, method: method, path: path, as: apiKey, body: body, status: status, header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}}
	}
	bad := func(name, method, path, body string) call {
		c := form(name, method, path, body, 400)
		c.problem, c.detail = "malformed", "not JSON"
		return c
	}
	srv.run(t, []call{
		form("publish", "POST", "/v1/publish/c/t", `{"a":1}`, 201),
		form("item", "POST", "/v1/publish", `{"channel":"c","topic":"t","data":1}`, 201),
		form("array", "POST", "/v1/publish", `[{"channel":"c","topic":"t","data":1}]`, 200),
		form("run", "PUT", "/v1/channels/c/run", `{"status":"running"}`, 200),
		form("token", "POST", "/v1/tokens", `{"channel":"c","topics":["*"]}`, 201),
		form("definition", "PUT", "/v1/schemas/c", `{}`, 201),
		bad("a form", "POST", "/v1/publish/c/t", "a=1&b=2"),
		bad("a form for an item", "POST", "/v1/publish", "channel=c&topic=t&data=1"),
		bad("a form for a run", "PUT", "/v1/channels/c/run", "status=running"),
		bad("a form for a token", "POST", "/v1/tokens", "channel=c"),
		bad("a form for a definition", "PUT", "/v1/schemas/c", "strict=true"),
		{
			name: "a form of another site", method: "POST", path: "/v1/publish/c/t", body: "1", status: 401, problem: "unauthorized",
			header: map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Origin": "https://elsewhere.test"},
		},
		{
			name: "a form with a token in the query", method: "POST", path: "/v1/publish/c/t?access_token=" + srv.token("c", "*"), body: "1", status: 401, problem: "unauthorized",
			header: map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Origin": "https://elsewhere.test"},
		},
	})
}
