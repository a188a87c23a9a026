// Runtimes that lack something: no other try would change that, so it is said, at once and for good.

import { subscribe } from "../src/index.js";
import { publish } from "../src/publish.js";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { follow } from "./support/follow.js";
import { server, tick } from "./support/server.js";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const ref = {
  channel: "c",
  topic: "t",
  schema: { "~standard": { version: 1, vendor: "x", validate: (value: unknown) => ({ value }) } },
} as const;

describe("a runtime without", () => {
  test.each<[string, () => object]>([
    ["fetch", () => (vi.stubGlobal("fetch", undefined), {})],
    ["TextDecoder", () => (vi.stubGlobal("TextDecoder", undefined), {})],
    ["EventSource", () => (vi.stubGlobal("EventSource", undefined), { eventSource: true, topics: ["t"] })],
    [
      "Response.body", // React Native: its fetch answers when the stream has ended, which is never
      () => {
        vi.stubGlobal("Response", function Response() {});
        vi.stubGlobal("fetch", () => new Promise(() => undefined));
        return {};
      },
    ],
    [
      "Response.body",
      () => ({
        fetch: () =>
          Promise.resolve({ ok: true, status: 200, headers: new Headers({ "Content-Type": "text/event-stream" }), body: undefined }),
      }),
    ],
    [
      "Response.body",
      () => ({
        fetch: () =>
          Promise.resolve({ ok: true, status: 200, headers: new Headers({ "Content-Type": "text/event-stream" }), body: { pipe() {} } }),
      }),
    ],
  ])("%s ends the subscription with an error that names it", async (feature, prepare) => {
    const options = prepare();
    const sub = subscribe<string, string>({ url: "http://sluice", channel: "c", ...options });
    await tick(1000);
    expect(sub.getSnapshot()).toMatchObject({ status: "error", error: { code: "unsupported", status: 0 } });
    expect(sub.getSnapshot().error!.message).toContain(feature);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("fetch cannot publish either", async () => {
    vi.stubGlobal("fetch", undefined);
    await expect(publish(ref, 1, { url: "http://sluice" })).rejects.toMatchObject({ code: "unsupported" });
  });

  test("TextDecoderStream misses nothing, also where a piece ends within a character", async () => {
    vi.stubGlobal("TextDecoderStream", undefined);
    const s = server();
    const { sub, got } = follow(s);
    await tick();
    s.last.open();
    const bytes = new TextEncoder().encode(
      'id: e-1\nevent: t\ndata: {"id":"e-1","channel":"c","topic":"t","kind":"data","data":"é日🙂"}\n\n',
    );
    for (const byte of bytes) s.last.send(new Uint8Array([byte]));
    await tick();
    expect(got).toEqual(["é日🙂"]);
    sub.close();
  });
});

test("an address that is none ends it, too", async () => {
  const s = server();
  const { sub } = follow(s, { url: "http://" });
  await tick(1000);
  expect(sub.getSnapshot()).toMatchObject({ status: "error", error: { code: "unexpected" } });
  expect(sub.getSnapshot().error!.message).toContain("URL");
});

test("an empty answer is a fault that passes", async () => {
  const s = server((exchange, count) => {
    if (count === 1) exchange.respond(new Response(null, { headers: { "Content-Type": "text/event-stream" } }));
  });
  const { sub } = follow(s, { reconnectMinMs: 1 });
  await tick(10);
  expect(s.requests).toHaveLength(2);
  sub.close();
});
