package handlers_test

import "testing"

// Names that are dot segments of a path are refused wherever the server reads names.
func TestNames_dots(t *testing.T) {
	srv := start(t)
	json := map[string]string{"Content-Type": "application/json"}
	refused := func(name, method, path, body string, fields ...string) call {
		return call{name: name, method: method, path: path, as: apiKey, body: body, header: json, status: 400, problem: "malformed", detail: "is a step in a path", fields: fields}
	}
	template := refused("definition", "PUT", "/v1/schemas/a%2F..%2F%7Bx%7D", `{}`, "/name")
	template.status, template.problem = 422, "bad-schema"
	topics := refused("topic of a definition", "PUT", "/v1/schemas/a", `{"topics":{"..":{}}}`, "/topics/..")
	topics.status, topics.problem = 422, "bad-schema"
	srv.run(t, []call{
		refused("publish, channel", "POST", "/v1/publish/%2E%2E/t", "1"),
		refused("publish, part of a channel", "POST", "/v1/publish/a%2F..%2Fb/t", "1"),
		refused("publish, topic", "POST", "/v1/publish/c/%2e", "1"),
		refused("text", "POST", "/v1/publish/c/%2e%2e/stream", "1"),
		refused("item", "POST", "/v1/publish", `{"channel":"..","topic":".","data":1}`, "/channel", "/topic"),
		refused("run", "PUT", "/v1/channels/%2E/run", `{"status":"running"}`),
		refused("history", "GET", "/v1/channels/%2E/messages", ""),
		refused("topic of a history", "GET", "/v1/channels/c/messages?topic=..", ""),
		refused("subscribe", "GET", "/v1/subscribe?channel=a/./b", ""),
		refused("subscribe, topic", "GET", "/v1/subscribe?channel=c&topic=.", ""),
		refused("token", "POST", "/v1/tokens", `{"channel":"..","topics":["*"]}`),
		refused("token, pattern", "POST", "/v1/tokens", `{"subscribe":[{"channel":"a/../b:*","topics":["*"]}]}`, "/subscribe/0"),
		refused("token, topic", "POST", "/v1/tokens", `{"publish":[{"channel":"c","topics":[".."]}]}`, "/publish/0"),
		template, topics,
		{name: "three dots", method: "POST", path: "/v1/publish/.../...", as: apiKey, body: "1", status: 201},
	})
}
