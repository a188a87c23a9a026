//go:build unix

package nats_test

import (
	"fmt"
	"testing"
)

// TestEngine_Broadcast reaches every node that listens to the topic, in order.
func TestEngine_Broadcast(t *testing.T) {
	opts := shared(t)
	all := nodes(t, 2, opts)
	heard := make(chan string, 100)
	for i, n := range all {
		stop, err := n.Listen("news", func(payload []byte) { heard <- fmt.Sprint(i, " ", string(payload)) })
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
	}
	// What was subscribed to a moment ago may not have reached the server yet.
	seen := map[string]bool{}
	for try := 0; len(seen) < 2; try++ {
		if err := all[0].Broadcast("other", []byte("no")); err != nil {
			t.Fatal(err)
		}
		if err := all[0].Broadcast("news", fmt.Append(nil, try)); err != nil {
			t.Fatal(err)
		}
		for text := <-heard; ; {
			seen[text[:1]] = true
			if text[2:] == "no" {
				t.Fatal("another topic was heard")
			}
			select {
			case text = <-heard:
				continue
			default:
			}
			break
		}
	}
	if err := all[0].Broadcast("news", []byte("a")); err != nil {
		t.Fatal(err)
	}
	if err := all[0].Broadcast("news", []byte("b")); err != nil {
		t.Fatal(err)
	}
	last := map[byte]string{}
	for last['0'] != "b" || last['1'] != "b" {
		text := <-heard
		if text[2:] == "b" && last[text[0]] != "a" {
			t.Fatalf("node %c heard %q before b", text[0], last[text[0]])
		}
		last[text[0]] = text[2:]
	}
}
