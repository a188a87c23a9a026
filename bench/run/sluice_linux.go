package run

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"

	"github.com/sluicehq/sluice/bench/load"
	"github.com/sluicehq/sluice/bench/report"
)

// apiKey is the key that Sluice is started with.
const apiKey = "bench"

// BuildSluice builds the program in the folder dir, the root of its module, as the file out.
func BuildSluice(ctx context.Context, dir, out string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-C", dir, "-trimpath", "-ldflags", "-s -w", "-o", out, "./server") //nolint:gosec // where the user says
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("run: building Sluice in %s: %w\n%s", dir, err, text)
	}
	return nil
}

// withTokens returns the streams of a channel, each with its own token.
func (t *trial) withTokens(tokens []string) func(int) load.Stream {
	return func(reader int) load.Stream {
		return load.Stream{Request: t.peer.Subscribe(channel(0), "", tokens[reader])}
	}
}

// mintTokens fills tokens with different ones for topics of a channel, a list of JSON texts.
func (t *trial) mintTokens(ctx context.Context, channel, topics string, tokens []string) error {
	scheme := "http"
	if t.peer.Secure {
		scheme = "https"
	}
	address := scheme + "://" + t.server.addr.String() + "/v1/tokens"
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // over loopback, to a server of our own
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for i := range tokens {
		body := fmt.Appendf(nil, `{"sub":"reader-%d","subscribe":[{"channel":%q,"topics":[%s]}],"ttl":"1h"}`, i, channel, topics)
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
		if err != nil {
			return fmt.Errorf("run: %w", err)
		}
		req.Header.Set("Authorization", "Bearer "+apiKey)
		req.Header.Set("Content-Type", "application/json")
		if tokens[i], err = mint(client, req); err != nil {
			return err
		}
	}
	return nil
}

// mint asks for one token.
func mint(client *http.Client, req *http.Request) (string, error) {
	resp, err := client.Do(req)
	if err != nil {
		return "", fmt.Errorf("run: %w", err)
	}
	defer resp.Body.Close()
	var answer struct{ Token string }
	err = json.NewDecoder(resp.Body).Decode(&answer)
	if err != nil || answer.Token == "" {
		return "", errors.Join(fmt.Errorf("run: no token: status %s", resp.Status), err)
	}
	return answer.Token, nil
}

// lines publishes line by line, round all channels, without readers.
func (t *trial) lines() (map[string]float64, error) {
	head := "POST /v1/publish HTTP/1.1\r\nHost: " + t.server.addr.String() + "\r\nAuthorization: Bearer " + apiKey +
		"\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
	data := load.AppendMessage(nil, load.Mark{})
	if t.plan.fill > 0 {
		data = []byte(`{"b":1}`) // small: their number is what is measured
	}
	next := 0
	line := func(b []byte) []byte {
		b = append(b, `{"channel":"c`...)
		b = strconv.AppendInt(b, int64(next), 10)
		b = append(b, `","topic":"t","data":`...)
		b = append(append(b, data...), '}', '\n')
		if next++; next == t.plan.channels {
			next = 0
		}
		return b
	}
	for range t.plan.publishers {
		err := t.client.AddLines(load.Lines{Request: []byte(head), Line: line, Receipt: `{"id":"`, Window: linesWindow})
		if err != nil {
			return nil, err
		}
	}
	if t.plan.fill > 0 {
		if err := t.fill(); err != nil {
			return nil, err
		}
	}
	w, err := t.window(func() error { return t.client.SendLines(1 << 40) })
	if err != nil {
		return nil, err
	}
	metrics := map[string]float64{}
	w.publishes(metrics)
	now, err := t.server.memory()
	if err != nil {
		return nil, err
	}
	metrics[report.RSS] = float64(now.rss) / (1 << 20)
	if err := t.client.SendLines(0); err != nil {
		return nil, err
	}
	if whole, err := t.client.Drain(drainLimit); err != nil || !whole {
		return nil, errors.Join(err, errors.New("run: not all lines were answered"))
	}
	return metrics, nil
}

// fill publishes what is to be there before measuring.
func (t *trial) fill() error {
	if err := t.client.SendLines(uint64(t.plan.fill)); err != nil {
		return err
	}
	whole, err := t.client.Drain(stormLimit)
	if err != nil || !whole {
		return errors.Join(err, errors.New("run: the channels were not filled in time"))
	}
	return nil
}
