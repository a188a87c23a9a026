import assert from "node:assert/strict";
import { test } from "node:test";
import { backoff, retryAfterMs, runStream } from "../stream.js";

const OPEN = 'retry: 500\nid: k-1\nevent: $open\ndata: {"id":"k-1"}\n\n';
const close = (data) => `event: $close\ndata: ${JSON.stringify(data)}\n\n`;

/** An answer with an event stream that ends, or breaks, after its text. */
function streamOf(text, { breaks = false } = {}) {
  const body = new ReadableStream({
    pull(controller) {
      if (text !== "") {
        controller.enqueue(new TextEncoder().encode(text));
        text = "";
      } else if (breaks) controller.error(new TypeError("network error"));
      else controller.close();
    },
  });
  return () => new Response(body, { headers: { "content-type": "text/event-stream" } });
}

function problem(status, headers = {}) {
  const body = JSON.stringify({ status, title: "No", detail: "not this" });
  return () => new Response(body, { status, headers: { "content-type": "application/problem+json", ...headers } });
}

function unreachable() {
  throw new TypeError("failed to fetch");
}

/** Runs against a list of answers; after the last one the signal is aborted. */
async function run(answers, { lastEventId } = {}) {
  const stop = new AbortController();
  const log = { asked: [], slept: [], phases: [], events: [], headers: [] };
  log.end = await runStream({
    url: "http://host.test/v1/subscribe",
    credential: "secret",
    lastEventId,
    signal: stop.signal,
    random: () => 0.5,
    sleep: async (ms) => void log.slept.push(ms),
    onPhase: (phase) => log.phases.push(phase.name),
    onEvent: (event) => log.events.push(event.type),
    fetch: async (url, { headers }) => {
      log.headers.push(headers);
      log.asked.push(headers["Last-Event-ID"] ?? "");
      const answer = answers.shift();
      if (answer) return answer();
      stop.abort();
      return unreachable();
    },
  });
  return log;
}

test("runStream sends the credential as a header and resumes by id", async () => {
  const log = await run([streamOf(OPEN + "id: k-2\nevent: a\ndata: 1\n\nid: k-3\ndata: cut off", { breaks: true }), streamOf(OPEN)]);
  assert.equal(log.headers[0].Authorization, "Bearer secret");
  assert.deepEqual(log.asked, ["", "k-2", "k-1"]);
  assert.deepEqual(log.events, ["$open", "a", "$open"]);
  assert.deepEqual(log.phases.slice(0, 4), ["connecting", "live", "waiting", "connecting"]);
});

test("runStream begins at the position it is given", async () => {
  assert.deepEqual((await run([], { lastEventId: "k-7" })).asked, ["k-7"]);
});

test("runStream waits longer after every failure, and no longer after a success", async () => {
  const log = await run([unreachable, unreachable, unreachable, streamOf(OPEN), unreachable]);
  assert.deepEqual(log.slept, [750, 1500, 3000, 375, 750]);
});

test("runStream does what $close says", async () => {
  const again = await run([streamOf(OPEN + close({ code: 4002, reason: "server_draining", reconnect: true, retry_after_ms: 200 }))]);
  assert.deepEqual(again.slept, [220]);
  const never = await run([streamOf(OPEN + close({ code: 4401, reason: "token_revoked", reconnect: false })), streamOf(OPEN)]);
  assert.deepEqual(never.asked, [""]);
  assert.match(never.end.why, /token_revoked \(4401\)/);
  const expired = await run([streamOf(OPEN + close({ code: 4001, reason: "token_expired", reconnect: true })), streamOf(OPEN)]);
  assert.deepEqual(expired.asked, [""]);
  assert.deepEqual(expired.end, { why: "The token has expired", expired: true, closed: true, lastEventId: "k-1" });
});

test("runStream keeps backing off when it is let in only to be sent away", async () => {
  const away = () => streamOf("retry: 500\n" + close({ code: 4029, reason: "too_many_streams", reconnect: true }))();
  assert.deepEqual((await run([away, away, away])).slept, [375, 750, 1500]);
});

test("runStream stops at a refusal and says why", async () => {
  for (const [status, why] of [[400, /400 No: not this/], [401, /refused \(401\)/], [403, /403 No: not this/], [404, /404/]]) {
    const log = await run([problem(status), streamOf(OPEN)]);
    assert.equal(log.asked.length, 1, `${status}`);
    assert.match(log.end.why, why);
  }
  const page = await run([() => new Response("<html>", { headers: { "content-type": "text/html" } }), streamOf(OPEN)]);
  assert.equal(page.asked.length, 1);
});

test("runStream honours Retry-After", async () => {
  const log = await run([problem(429, { "retry-after": "3" }), problem(503, { "retry-after": "0" }), problem(502)]);
  assert.deepEqual(log.slept, [3300, 150, 3000]); // 0 is taken for a short while
});

test("runStream stops at a defect instead of trying it again", async () => {
  const log = await run([streamOf("event: $close\ndata: no json\n\n"), streamOf(OPEN)]);
  assert.equal(log.asked.length, 1);
  assert.match(log.end.why, /JSON/);
});

test("retryAfterMs reads seconds and dates", () => {
  const now = Date.parse("2026-11-23T06:18:00Z");
  assert.equal(retryAfterMs(null), undefined);
  assert.equal(retryAfterMs("7"), 7000);
  assert.equal(retryAfterMs("Mon, 23 Nov 2026 06:18:09 GMT", now), 9000);
  assert.equal(retryAfterMs("Mon, 23 Nov 2026 06:17:09 GMT", now), 0);
  assert.equal(retryAfterMs("soon"), undefined);
});

test("backoff is bounded on both sides", () => {
  assert.equal(backoff(1000, 1000, () => 0.999) <= 30_000, true);
  assert.equal(backoff(0, 0, () => 0), 50);
});
