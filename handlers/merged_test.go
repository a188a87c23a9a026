package handlers_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/schemas"
)

// merged publishes the parts of an answer to a topic with a merge rule. Who is there gets
// each part, and who comes later gets few.
func (s *suite) merged(t *testing.T) {
	srv := s.start(t)
	srv.check(t, call{
		method: "PUT", path: "/v1/schemas/chat:%7Bid%7D", as: apiKey, status: 201,
		body: `{"topics":{"parts":{"merge":{"append":"/delta","key":["/type","/id"]}}},"replay":{"messages":8}}`,
	})
	srv.check(t, call{
		name: "a rule without a pointer", method: "PUT", path: "/v1/schemas/c", as: apiKey, status: 422, problem: "bad-schema",
		body: `{"topics":{"parts":{"merge":{"append":"delta"}}}}`, fields: []string{"/topics/parts/merge/append"},
	})
	live := srv.open(t, call{as: apiKey, path: "channel=chat:1"})
	live.after("$open")
	var words []string
	publish := func(data string) {
		srv.check(t, call{method: "POST", path: "/v1/publish/chat:1/parts", as: apiKey, body: data, status: 201})
		if e := live.next(); e.name != "parts" || !strings.Contains(e.data, `"data":`+data) {
			t.Fatalf("live: %s", e.raw)
		}
	}
	publish(`{"type":"text-start","id":"a"}`)
	for i := range 300 {
		words = append(words, fmt.Sprint("word", i, " "))
		publish(fmt.Sprintf(`{"type":"text-delta","id":"a","delta":%q}`, words[i]))
	}
	publish(`{"type":"text-end","id":"a"}`)
	var got []string
	for _, m := range srv.messages("chat:1") {
		if m.Kind != schemas.KindData {
			t.Errorf("holds %+v", m)
		}
		got = append(got, string(m.Data))
	}
	want := []string{
		`{"type":"text-start","id":"a"}`,
		`{"type":"text-delta","id":"a","delta":"` + strings.Join(words, "") + `"}`,
		`{"type":"text-end","id":"a"}`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("holds\n%s", strings.Join(got, "\n"))
	}
	late := srv.open(t, call{as: apiKey, path: "channel=chat:1&replay=all&envelope=none"})
	late.after("$open")
	for _, data := range want {
		if e := late.next(); e.data != data {
			t.Errorf("late: %s", e.raw)
		}
	}
}
