// Code of others that never comes to an end, or to no good one.

import { channel, SluiceError, subscribe, text, type Message, type Token } from "../src/index.js";
import { publish } from "../src/publish.js";
import { createServer } from "../src/server/index.js";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { follow } from "./support/follow.js";
import { problem, server, tick } from "./support/server.js";

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0.5);
});
afterEach(() => {
  vi.useRealTimers();
});

const never = (): Promise<never> => new Promise(() => undefined);
const ref = {
  channel: "c",
  topic: "t",
  schema: { "~standard": { version: 1, vendor: "x", validate: (value: unknown) => ({ value }) } },
} as const;

/** Notes what a promise is rejected with. */
function failure(promise: Promise<unknown>): { error?: SluiceError } {
  const state: { error?: SluiceError } = {};
  promise.catch((error: unknown) => (state.error = error as SluiceError));
  return state;
}

describe("a token function that never settles", () => {
  test.each([
    [undefined, 30_000],
    [2000, 2000],
  ])("is asked again after its time limit (%s), and the error says so", async (tokenTimeoutMs, ms) => {
    const s = server();
    let calls = 0;
    const { sub } = follow(s, { tokenTimeoutMs, token: () => (++calls < 3 ? never() : "t") });
    await tick(ms - 1);
    expect(sub.getSnapshot()).toMatchObject({ status: "connecting", error: null });
    await tick(1);
    expect(sub.getSnapshot()).toMatchObject({ status: "connecting", error: { code: "token" } });
    expect(sub.getSnapshot().error!.message).toContain(`${ms} ms`);
    await tick(125 + ms + 250);
    expect(s.requests.map(({ token }) => token)).toEqual(["t"]);
    sub.close();
  });

  test("nor does the body of the Response that it answers with", async () => {
    const s = server();
    const { sub } = follow(s, { token: () => new Response(new ReadableStream()) });
    await tick(30_000);
    expect(sub.getSnapshot()).toMatchObject({ status: "connecting", error: { code: "token" } });
    sub.close();
  });

  test("is given up when the network is back, and when the subscription is paused and goes on", async () => {
    const window = new EventTarget();
    vi.stubGlobal("addEventListener", window.addEventListener.bind(window));
    vi.stubGlobal("removeEventListener", window.removeEventListener.bind(window));
    const s = server();
    let calls = 0;
    const { sub } = follow(s, { lastEventId: "e-1", token: () => (++calls === 3 ? "t" : never()) });
    await tick(1000);
    window.dispatchEvent(new Event("online"));
    await tick();
    expect(calls).toBe(2);
    sub.pause();
    sub.resume();
    await tick();
    expect(s.requests.map(({ token }) => token)).toEqual(["t"]);
    sub.close();
  });

  test("ends a publish from a page, and one that is aborted", async () => {
    const s = server();
    const late = failure(publish(ref, 1, { url: "http://sluice", fetch: s.fetch, token: never }));
    const aborter = new AbortController();
    const aborted = failure(publish(ref, 1, { url: "http://sluice", fetch: s.fetch, token: never, signal: aborter.signal }));
    await tick(1000);
    aborter.abort();
    await tick();
    expect(aborted.error).toMatchObject({ name: "AbortError" });
    await tick(29_000);
    expect(late.error).toMatchObject({ code: "token" });
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("an answer without a token", () => {
  const answers: [string, () => unknown][] = [
    ["null", () => null],
    ["undefined", () => undefined],
    ['""', () => ""],
    ["spaces", () => "  "],
    ["{}", () => ({})],
    ["a problem", () => ({ error: "try again later" })],
    ["a token of null", () => ({ token: null })],
    ['a token of ""', () => ({ token: "" })],
    ["a number", () => 7],
    ["a page", () => "<!doctype html><p>busy"],
    ["a Response of 503 with JSON", () => problem(503, "busy", { "Retry-After": "2" })],
    ["a Response of 401", () => problem(401, "no-session")],
    ["a Response with a page", () => new Response("<!doctype html><p>busy")],
    ["a Response with JSON that has none", () => Response.json({ error: "busy" })],
    ["a Response without a body", () => new Response(null, { status: 204 })],
  ];

  test.each(answers)("%s: is not taken for the wish to have none; it is asked for again", async (name, answer) => {
    const s = server();
    let calls = 0;
    const { sub } = follow(s, { token: (() => (++calls < 3 ? answer() : "t")) as Token });
    await tick();
    expect(sub.getSnapshot()).toMatchObject({ status: "connecting", error: { code: "token", status: 0 } });
    expect(s.requests).toHaveLength(0);
    await tick(name.includes("503") ? 4000 : 125 + 250);
    expect(s.requests.map(({ token }) => token)).toEqual(["t"]);
    sub.close();
  });

  test.each(answers)("%s: is an error of a publish", async (_, answer) => {
    const s = server();
    const { error } = await tick().then(async () => {
      const state = failure(publish(ref, 1, { url: "http://sluice", fetch: s.fetch, token: answer as Token }));
      await tick();
      return state;
    });
    expect(error).toMatchObject({ code: "token", status: 0 });
    expect(s.requests).toHaveLength(0);
  });

  test("of a backend that asks to wait is asked for after that", async () => {
    const s = server();
    let calls = 0;
    const { sub } = follow(s, { token: () => (++calls < 2 ? problem(503, "busy", { "Retry-After": "7" }) : "t") });
    await tick(6999);
    expect(calls).toBe(1);
    expect(sub.getSnapshot().error!.message).toContain("No");
    await tick(1);
    expect(calls).toBe(2);
    sub.close();
  });

  test.each([
    ["the token", () => new Response("abc.def\n")],
    ["the token as JSON", () => Response.json("abc.def")],
    ["the server's answer", () => Response.json({ token: "abc.def", expires_at: "later" })],
    ["one of another kind of fetch", () => ({ ok: true, text: async () => '{"token":"abc.def"}' }) as Response],
    ["no Response but a text with an end of line", () => "abc.def\n"],
  ])("but a Response with %s is one", async (_, token) => {
    const s = server();
    const { sub } = follow(s, { token });
    await tick();
    expect(s.last.token).toBe("abc.def");
    sub.close();
  });
});

describe("a fetch that never settles and knows no signal", () => {
  test("is given up after the silence that is allowed", async () => {
    const requests: URL[] = [];
    const fetch = (url: unknown): Promise<never> => {
      requests.push(url as URL);
      return never();
    };
    const { sub } = follow({ ...server(), fetch: fetch });
    await tick(37_500 + 125);
    expect(requests).toHaveLength(2);
    expect(sub.getSnapshot().error).toMatchObject({ code: "network" });
    sub.close();
  });

  test("ends a publish from a page", async () => {
    const late = failure(publish(ref, 1, { url: "http://sluice", fetch: never, timeoutMs: 5000 }));
    await tick(5000);
    expect(late.error).toMatchObject({ code: "network", status: 0 });
    expect(late.error!.message).toContain("5000 ms");
    expect(vi.getTimerCount()).toBe(0);
  });

  test("ends each call of the server's client, and a text or messages when they are aborted", async () => {
    const sluice = createServer({ url: "http://sluice", apiKey: "k", fetch: never, retries: 0, timeoutMs: 5000 });
    const typed = channel({ name: "c", topics: {} });
    const calls = [sluice.publish(ref, 1), sluice.token({ channel: "c" }), sluice.define(typed), sluice.run("c", "r").start()].map(failure);
    const aborter = new AbortController();
    const { signal } = aborter;
    const streams = [sluice.stream(ref, ["text"], { signal }), sluice.stream(ref, [1, 2], { signal })].map(failure);
    await tick(5000);
    for (const { error } of calls) expect(error).toMatchObject({ code: "network" });
    aborter.abort();
    await tick();
    for (const { error } of streams) expect(error).toMatchObject({ name: "AbortError" });
  });
});

describe("an answer that never comes to what was sent as a stream", () => {
  /** Takes the body to its end, and then nothing happens, or with a line only that. */
  const silent = (line?: string): typeof globalThis.fetch =>
    (async (_: unknown, { method, body }: RequestInit) => {
      if (method === "HEAD") return new Response(null, { status: 404 });
      const answer = new ReadableStream<Uint8Array>({ start: (to) => to.enqueue(new TextEncoder().encode(line)) });
      const read = (body as unknown as ReadableStream<Uint8Array>).pipeTo(new WritableStream());
      if (line) return new Response(answer);
      await read;
      return never();
    }) as typeof globalThis.fetch;

  test("ends a text after the time limit, however long it took to send", async () => {
    const sluice = createServer({ url: "http://sluice", apiKey: "k", fetch: silent(), timeoutMs: 5000, retries: 0 });
    async function* slowly() {
      yield "a";
      await new Promise((resolve) => setTimeout(resolve, 60_000));
      yield "b";
    }
    const late = failure(sluice.stream({ ...ref, ...text() }, slowly()));
    await tick(64_999);
    expect(late.error).toBeUndefined();
    await tick(1);
    expect(late.error).toMatchObject({ code: "network" });
    expect(vi.getTimerCount()).toBe(0);
  });

  test.each([undefined, '{"id":"e-1"}\n'])("ends messages after it, too: %j", async (line) => {
    const sluice = createServer({ url: "http://sluice", apiKey: "k", fetch: silent(line), timeoutMs: 5000 });
    const late = failure(sluice.stream(ref, [1, 2, 3]));
    await tick(5000);
    expect(late.error).toMatchObject({ code: "network" });
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("a schema that never has an answer", () => {
  const stuck = {
    "~standard": { version: 1, vendor: "x", validate: (value: unknown) => (value === "bad" ? never() : { value }) },
  } as const;

  test("makes a message invalid after half a minute, and those after it are handed over", async () => {
    const s = server();
    const got: unknown[] = [];
    const invalid: string[] = [];
    const sub = subscribe({
      ...{ url: "http://sluice", fetch: s.fetch, heartbeatMs: 0 },
      channel: channel({ name: "c", topics: { t: { schema: stuck } } }),
      onMessage: (message: Message) => got.push(message.id),
      onInvalid: (_, { id }) => invalid.push(id),
    });
    await tick();
    s.last.open().message("e-1", 1).message("e-2", "bad").message("e-3", 3);
    await tick(29_999);
    expect(got).toEqual(["e-1"]);
    await tick(1);
    expect([got, invalid]).toEqual([["e-1", "e-3"], ["e-2"]]);
    sub.close();
  });

  test("refuses a publish of the server's client then, or when that is aborted", async () => {
    const s = server();
    const sluice = createServer({ url: "http://sluice", apiKey: "k", fetch: s.fetch });
    const aborter = new AbortController();
    const late = failure(sluice.publish({ ...ref, schema: stuck }, "bad"));
    const aborted = failure(sluice.publish({ ...ref, schema: stuck }, "bad", { signal: aborter.signal }));
    await tick();
    aborter.abort();
    await tick();
    expect(aborted.error).toMatchObject({ name: "AbortError" });
    await tick(30_000);
    expect(late.error).toMatchObject({ code: "schema-violation" });
    expect(s.requests).toHaveLength(0);
  });
});
