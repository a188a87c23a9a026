package client_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/client"
)

// poison returns events that cannot be read, by name. All have position 2.
func poison() map[string]string {
	frame := func(event, data string) string {
		return fmt.Sprintf("id: k3f9-2\nevent: %s\ndata: %s\n\n", event, data)
	}
	long := strings.Repeat("x", client.MaxEventBytes)
	return map[string]string{
		"deep":                   frame("status", messageJSON(2, strings.Repeat("[", 10_000)+strings.Repeat("]", 10_000))),
		"too long":               frame("status", messageJSON(2, `"`+long+`"`)),
		"too long, of lines":     frame("status", strings.Repeat("x\ndata: ", client.MaxEventBytes/5)),
		"too long, id behind":    "event: status\ndata: " + long + "\nid: k3f9-2\n\n",
		"too long, many fields":  "id: k3f9-2\nevent: status\ndata: " + long + strings.Repeat("\nx: y", 10_000) + "\n\n",
		"too long, CRLF":         "id: k3f9-2\r\nevent: status\r\ndata: " + long + strings.Repeat("\r\nx: y", 10_000) + "\r\n\r\n",
		"too long, CR":           "id: k3f9-2\revent: status\rdata: " + long + "\r\r",
		"no JSON":                frame("status", "<p>"),
		"no object":              frame("status", `[1]`),
		"cut":                    frame("status", `{"id":`),
		"a control character":    frame("status", "{\"id\":\"\x00\"}\x00"),
		"an id of another kind":  frame("status", `{"id":"?"}`),
		"a time of another kind": frame("status", `{"created_at":"now"}`),
		"a bad gap":              frame("$gap", `{"after":5}`),
		"a bad beginning":        frame("$open", `{"channels":5}`),
		"a bad end":              frame("$close", `{"code":"x"}`),
		"a bad run":              frame("$run", `{"data":}`),
	}
}

// A publisher must not be able to stop readers. An event that cannot be read is reported, and
// the next one arrives on the same connection.
func TestClient_Events_skipsUnreadableEvent(t *testing.T) {
	for name, text := range poison() {
		t.Run(name, func(t *testing.T) {
			requests := 0
			c := over(t, func(*http.Request) (*http.Response, error) {
				requests++
				return events(openFrame(0) + messageFrame(1) + text + messageFrame(3)), nil
			})
			var got []string
			for event, err := range c.Events(t.Context(), client.Subscription{}) {
				unreadable := (*client.EventError)(nil)
				switch {
				case errors.As(err, &unreadable) && unreadable.Event.ID == event.ID:
					got = append(got, "unreadable "+event.ID)
				case err != nil:
					t.Fatal(err)
				default:
					got = append(got, event.Name+" "+event.ID)
				}
				if event.ID == "k3f9-3" {
					break
				}
			}
			if want := []string{"$open k3f9-0", "status k3f9-1", "unreadable k3f9-2", "status k3f9-3"}; !slices.Equal(got, want) {
				t.Errorf("events %q, want %q", got, want)
			}
			if requests != 1 {
				t.Errorf("%d connections", requests)
			}
		})
	}
}

// A reconnection resumes after an event that cannot be read, even if it was the last one of its
// connection.
func TestClient_Events_resumesAfterUnreadableEvent(t *testing.T) {
	var asked []string
	c := over(t, func(r *http.Request) (*http.Response, error) {
		if asked = append(asked, r.Header.Get("Last-Event-ID")); len(asked) == 1 {
			return events(openFrame(0) + poison()["deep"]), nil
		}
		return events(openFrame(2) + messageFrame(3)), nil
	})
	for event := range c.Events(t.Context(), client.Subscription{}) {
		if event.Message != nil {
			break
		}
	}
	if want := []string{"", "k3f9-2"}; !slices.Equal(asked, want) {
		t.Errorf("last event ids sent: %q, want %q", asked, want)
	}
}

// An id that is not a valid header value is ignored: it would make all further requests fail.
func TestClient_Events_idNotValidInHeader(t *testing.T) {
	var asked []string
	c := over(t, func(r *http.Request) (*http.Response, error) {
		if asked = append(asked, r.Header.Get("Last-Event-ID")); len(asked) == 1 {
			return events(openFrame(1) + "id: a\x01b\nevent: $position\ndata: {}\n\n"), nil
		}
		return events(openFrame(1) + messageFrame(2)), nil
	})
	for event, err := range c.Events(t.Context(), client.Subscription{}) {
		if err != nil {
			t.Fatal(err)
		}
		if event.Message != nil {
			break
		}
	}
	if asked[1] != "k3f9-1" {
		t.Errorf("the second request asks for what comes after %q", asked[1])
	}
}

// Control events of a later version are not errors.
func TestClient_Events_unknown(t *testing.T) {
	text := "id: k3f9-2\nevent: $later\ndata: [1]\n\n" +
		"id: k3f9-3\nevent: status\ndata: " + strings.Replace(messageJSON(3, `1`), `"kind":"data"`, `"kind":"later","later":[{}]`, 1) + "\n\n"
	c := over(t, func(*http.Request) (*http.Response, error) { return events(openFrame(1) + text), nil })
	var got []string
	for event, err := range c.Events(t.Context(), client.Subscription{}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, event.Name+" "+event.ID)
		if event.Message != nil {
			break
		}
	}
	if want := []string{"$open k3f9-1", "$later k3f9-2", "status k3f9-3"}; !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
}

// The loops built on Events report such an event, too, and go on.
func TestTopicOf_Subscribe_skipsUnreadableEvent(t *testing.T) {
	type status struct{ N int }
	for name, text := range poison() {
		t.Run(name, func(t *testing.T) {
			c := over(t, func(*http.Request) (*http.Response, error) {
				return events(openFrame(0) + text + messageFrame(3)), nil
			})
			told := 0
			for message, err := range client.Topic[status]("status").Subscribe(t.Context(), c, client.Subscription{}) {
				if unreadable := (*client.EventError)(nil); errors.As(err, &unreadable) && message.Position == "k3f9-2" {
					told++
					continue
				}
				if err != nil || message.Data.N != 3 {
					t.Errorf("then comes %+v, %v", message, err)
				}
				break
			}
			if told != 1 {
				t.Errorf("told %d times", told)
			}
		})
	}
}

// An event that cannot be read does not keep Ask from finding the answer.
func TestAsk_skipsUnreadableEvent(t *testing.T) {
	c := over(t, func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPost {
			return answer(201, "application/json", strings.NewReader(receiptJSON)), nil
		}
		return events(openFrame(7) + poison()["deep"] + messageFrame(9)), nil
	})
	question, reply := client.Topic[string]("question"), client.Topic[struct{ N int }]("status")
	got, err := client.Ask(t.Context(), c.Run("c", "r"), "s", question, "?", reply, nil)
	if err != nil || got.N != 9 {
		t.Errorf("the answer is %+v, %v", got, err)
	}
}

// A text that may have lost a piece is marked as partial.
func TestTexts_Add_unreadablePiece(t *testing.T) {
	piece := func(seq int, kind, data string) string {
		message := strings.Replace(messageJSON(seq, data), `"kind":"data"`, `"kind":"`+kind+`","stream_id":"s"`, 1)
		return fmt.Sprintf("id: k3f9-%d\nevent: status\ndata: %s\n\n", seq, message)
	}
	c := over(t, func(*http.Request) (*http.Response, error) {
		return events(openFrame(0) + piece(1, "datastream-start", "null") + poison()["deep"] + piece(3, "chunk", `"x"`) + piece(4, "datastream-end", `{"reason":"complete"}`)), nil
	})
	var texts client.Texts
	for message, err := range c.Subscribe(t.Context(), client.Subscription{}) {
		if text, ok := texts.Add(message, err); ok && text.State == client.TextComplete {
			if !text.Partial {
				t.Error("the text is not called partial")
			}
			break
		}
	}
}
