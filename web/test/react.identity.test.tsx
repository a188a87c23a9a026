// @vitest-environment jsdom
import { afterEach, describe, expect, it, vi } from "vitest";
import { channel, staticSchema, type Run } from "../src/index.js";
import { useRealtime, type RealtimeOptions } from "../src/react/index.js";
import {
  begin,
  bye,
  chunk,
  cleanUp,
  finish,
  gap,
  opened,
  pipeline,
  ran,
  renderHook,
  run42,
  scriptedServer,
  settled,
  status,
} from "./react.harness.js";

afterEach(cleanUp);

type Options = RealtimeOptions<typeof run42 | string>;

async function opening(options: Options) {
  const server = scriptedServer();
  const hook = await renderHook((latest: Options) => {
    const { messages, connectionStatus } = useRealtime({ fetch: server.fetch, ...latest });
    return { count: messages.all.length, connectionStatus };
  }, options);
  server.stream.send(opened(), status(1, "a"));
  await settled();
  return { server, ...hook, now: () => hook.now };
}

describe("a subscription begins anew, with nothing received, when", () => {
  const other = pipeline({ runId: "43" });
  it.each<{ name: string; from: Options; to: Options }>([
    { name: "key changes", from: { channel: run42, key: 1 }, to: { channel: run42, key: 2 } },
    { name: "the channel changes", from: { channel: run42 }, to: { channel: other } },
    { name: "a name changes", from: { channel: "pipeline:42" }, to: { channel: "pipeline:43" } },
    { name: "a channel is added", from: { channels: [run42] }, to: { channels: [run42, other] } },
    { name: "topics change", from: { channel: run42 }, to: { channel: run42, topics: ["status"] } },
    { name: "url changes", from: { channel: run42 }, to: { channel: run42, url: "https://b.example" } },
    { name: "replay changes", from: { channel: run42 }, to: { channel: run42, replay: "all" } },
  ])("$name", async ({ from, to }) => {
    const { server, now, renders, rerender } = await opening(from);
    expect(now().count).toBe(1);
    const before = renders.length;
    await rerender(to);
    // The very first rendering that is kept shows nothing of the old one.
    expect(renders[before]).toMatchObject({ count: 0, connectionStatus: "idle" });
    expect(now()).toEqual({ count: 0, connectionStatus: "connecting" });
    expect(server.streams).toHaveLength(2);
    expect(server.live()).toEqual([server.stream]);
    expect(server.stream.headers.get("last-event-id")).toBeNull();
  });

  it("and shows nothing of the old one after it came back", async () => {
    const { now, rerender } = await opening({ channel: run42, key: "a" });
    await rerender({ channel: run42, key: "b" });
    await rerender({ channel: run42, key: "a" });
    expect(now().count).toBe(0);
  });
});

describe("a subscription goes on when", () => {
  const make = (): typeof run42 => pipeline({ runId: "42" });
  const log = channel({ name: "log", topics: { line: { schema: staticSchema<string>() } } });
  it.each<{ name: string; options: () => Options }>([
    {
      name: "all is given inline",
      options: () => ({ channel: make(), topics: ["status", "tokens"], token: () => "t", onMessage: () => {} }),
    },
    { name: "the channels are", options: () => ({ channels: [make(), "log"] }) },
    { name: "the url is", options: () => ({ channel: make(), url: new URL("https://a.example") }) },
    { name: "other options change", options: () => ({ channel: make(), reconnectMinMs: Math.random(), validate: Math.random() < 0.5 }) },
  ])("$name", async ({ options }) => {
    const { server, now, rerender } = await opening(options());
    for (let n = 0; n < 3; n++) await rerender(options());
    expect(now()).toEqual({ count: 1, connectionStatus: "open" });
    expect(server.streams).toHaveLength(1);
  });

  it("the same channels come in another order", async () => {
    const { server, rerender } = await opening({ channels: ["pipeline:42", log.$name], topics: ["status", "line"] });
    await rerender({ channels: [log.$name, "pipeline:42"], topics: ["line", "status"] });
    expect(server.streams).toHaveLength(1);
  });
});

describe("the latest", () => {
  it("token is asked before each connection", async () => {
    const { server, rerender } = await opening({ channel: run42, token: "one" });
    expect(server.stream.headers.get("authorization")).toBe("Bearer one");
    await rerender({ channel: run42, token: () => Promise.resolve({ token: "two" }) });
    server.stream.send(bye(2, 4001, true));
    await expect.poll(() => server.streams.length).toBe(2);
    expect(server.stream.headers.get("authorization")).toBe("Bearer two");
  });

  it("handlers are called", async () => {
    const calls: string[] = [];
    const handlers = (name: string): Options => ({
      channel: run42,
      onMessage: (message) => calls.push(`${name} ${message.topic}`),
      onChunk: (_, chunk) => calls.push(`${name} ${chunk}`),
      onRun: (run: Run) => calls.push(`${name} ${run.status}`),
      onGap: ({ reason }) => calls.push(`${name} ${reason}`),
      onInvalid: ({ code }) => calls.push(`${name} ${code}`),
      onStatus: (now) => calls.push(`${name} ${now}`),
    });
    const { server, rerender } = await opening(handlers("old"));
    await rerender(handlers("new"));
    server.stream.send(status(2, "b"), begin(3, "s"));
    await settled();
    server.stream.send(chunk(4, "s", "text"), finish(5, "s"), gap(6), status(7, 0), ran(8, { status: "completed" }));
    await settled();
    expect(calls).toEqual([
      ...["old open", "old status"],
      ...["new status", "new tokens", "new text", "new ", "new overrun", "new invalid-message", "new completed", "new closed"],
    ]);
  });

  it("historyLimit and bufferInterval hold from the next message on", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
    const { server, now, rerender } = await opening({ channel: run42 });
    await rerender({ channel: run42, historyLimit: 2, bufferInterval: 50 });
    server.stream.send(status(2, "b"), status(3, "c"), status(4, "d"));
    await settled();
    expect(now().count).toBe(1);
    vi.advanceTimersByTime(50);
    await settled();
    expect(now().count).toBe(2);
    vi.useRealTimers();
  });
});

it("a handler that returns a promise holds the next message up", async () => {
  let release!: () => void;
  const server = scriptedServer();
  const taken: string[] = [];
  const hook = await renderHook(
    () =>
      useRealtime({
        channel: run42,
        fetch: server.fetch,
        topics: ["status"],
        onMessage: async ({ id }) => {
          taken.push(id);
          await new Promise<void>((resolve) => (release = resolve));
        },
      }).messages.all.length,
    undefined,
  );
  server.stream.send(opened(), status(1, "a"), status(2, "b"));
  await settled();
  expect(hook.now).toBe(1);
  release();
  await settled();
  expect(hook.now).toBe(2);
  expect(taken).toEqual(["k-1", "k-2"]);
});
