// @vitest-environment jsdom
import { realtime } from "inngest";
import { afterEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { subscribe } from "../src/index.js";
import { useRealtime, type UseRealtimeOptions } from "../src/inngest/react/index.js";
import { useChannelState } from "../src/react/index.js";
import { begin, chunk, cleanUp, finish, opened, ran, renderHook, scriptedServer, settled, status } from "./react.harness.js";

afterEach(cleanUp);

const topics = { status: { schema: z.object({ step: z.string() }) } };
const pipeline = realtime.channel({ name: ({ runId }: { runId: string }) => `pipeline:${runId}`, topics });
const run42 = pipeline({ runId: "42" });

type Options = UseRealtimeOptions<typeof run42, readonly ["status"]>;

async function connected(options: Partial<Options> = {}) {
  const server = scriptedServer();
  const all = { channel: run42, topics: ["status"], fetch: server.fetch, ...options } as const;
  const hook = await renderHook((more: Partial<Options>) => useRealtime({ ...all, ...more }), {});
  return { server, hook };
}

test("messages have Inngest's names, and are the same objects from one rendering to the next", async () => {
  const { server, hook } = await connected();
  expect({ ...hook.now.messages }).toEqual({ all: [], byTopic: {}, delta: [], last: null }); // all of them are read
  server.stream.send(opened(), status(1, "a"));
  await settled();
  const { messages } = hook.now;
  const expected = {
    kind: "data",
    channel: "pipeline:42",
    topic: "status",
    data: { step: "a" },
    createdAt: new Date("2026-11-23T06:18:03.222Z"),
  };
  expect(messages.last).toMatchObject(expected);
  expect(messages.all).toEqual([messages.last]);
  expect(messages.delta).toEqual([messages.last]);
  const first = messages.byTopic.status;
  expect(first).toBe(messages.last);
  server.stream.send(status(2, "b"));
  await settled();
  expect(hook.now.messages.all[0]).toBe(first);
  expect(hook.now.messages.byTopic.status?.data.step).toBe("b");
  expect({ ...hook.now }).toMatchObject({ connectionStatus: "open", isPaused: false }); // a custom hook may spread it
});

test("runId is that of the message, and a text is one message with what there is of it", async () => {
  const { server, hook } = await connected({ channel: "pipeline:42" as never, topics: ["status", "tokens"] as never });
  expect(hook.now.messages.all).toEqual([]);
  server.stream.send(opened(), begin(1, "s"), chunk(2, "s", "one "), chunk(3, "s", "two"));
  await settled();
  expect(hook.now.messages.all).toMatchObject([{ kind: "stream", topic: "tokens", data: "one two", complete: false }]);
  server.stream.send(finish(4, "s"));
  await settled();
  expect(hook.now.messages.all).toMatchObject([{ data: "one two", complete: true }]);
});

test("what breaks the schema is left out", async () => {
  const { server, hook } = await connected();
  server.stream.send(opened(), status(1, 7));
  await settled();
  expect(hook.now.messages.all).toEqual([]);
  expect(hook.now.error).toMatchObject({ code: "invalid-message" });
});

describe("runStatus", () => {
  test("is running from the connection on, and then what the server says", async () => {
    const { server, hook } = await connected();
    expect(hook.now.runStatus).toBe("unknown");
    server.stream.send(opened());
    await settled();
    expect(hook.now.runStatus).toBe("running");
    server.stream.cut();
    await settled();
    expect(hook.now).toMatchObject({ connectionStatus: "connecting", runStatus: "running" });
    await hook.rerender({ key: "another" });
    expect(hook.now.runStatus).toBe("unknown");
    server.stream.send(opened(), ran(1, { status: "completed", result: { rows: 3 } }));
    await settled();
    expect(hook.now).toMatchObject({ connectionStatus: "closed", runStatus: "completed", result: { rows: 3 } });
  });
});

describe("a token", () => {
  const address = "https://sluice.test/base/v1/subscribe?access_token=secret&channel=pipeline%3A42";
  const ofInngest = "https://api.inngest.test/";

  test.each([
    ["made by Inngest's SDK", { key: address, apiBaseUrl: ofInngest }, "https://sluice.test/base/v1/subscribe"],
    ["got from a function", async () => ({ key: address, apiBaseUrl: ofInngest }), "https://sluice.test/base/v1/subscribe"],
    ["that is a string", async () => address, "https://sluice.test/base/v1/subscribe"],
    ["of one's own", { key: "secret", apiBaseUrl: "https://sluice.test/own" }, "https://sluice.test/own/v1/subscribe"],
    ["of one's own, for the page's origin", async () => "secret", `${location.origin}/v1/subscribe`],
  ])("%s", async (_, token, server) => {
    const { server: served } = await connected({ token });
    expect(served.stream.url.origin + served.stream.url.pathname).toBe(server);
    expect(served.stream.headers.get("authorization")).toBe("Bearer secret");
    expect(served.stream.url.searchParams.has("access_token")).toBe(false);
  });

  test("gives way to apiBaseUrl", async () => {
    const { server } = await connected({ apiBaseUrl: "https://elsewhere.test", token: { key: address } });
    expect(server.stream.url.origin).toBe("https://elsewhere.test");
    expect(server.stream.headers.get("authorization")).toBe("Bearer secret");
  });

  test("says what to subscribe to, if nothing else does", async () => {
    const server = scriptedServer();
    const token = { key: "secret", channel: run42, topics: ["status"] };
    await renderHook(() => useRealtime({ fetch: server.fetch, token }), undefined);
    expect(server.stream.url.searchParams.getAll("channel")).toEqual(["pipeline:42"]);
    expect(server.stream.url.searchParams.getAll("topic")).toEqual(["status"]);
  });
});

describe("Sluice's own functions take Inngest's channels and topics:", () => {
  test("subscribe", async () => {
    const server = scriptedServer();
    const seen: unknown[] = [];
    const onInvalid = (): void => void seen.push("invalid");
    const sub = subscribe({
      channel: run42,
      url: "https://sluice.test",
      fetch: server.fetch,
      onInvalid,
      onMessage: ({ data }) => seen.push(data.step),
    });
    await settled();
    expect(server.stream.url.searchParams.getAll("channel")).toEqual(["pipeline:42"]);
    server.stream.send(opened(), status(1, "a"), status(2, 7));
    await settled();
    expect(seen).toEqual(["a", "invalid"]);
    sub.close();
  });

  test("useChannelState", async () => {
    const server = scriptedServer();
    const hook = await renderHook((ref: typeof run42.status) => useChannelState(ref, { fetch: server.fetch }), run42.status);
    server.stream.send(opened(), status(1, "a"), status(2, 7));
    await settled();
    expect(hook.now).toEqual({ step: "a" });
    await hook.rerender(pipeline({ runId: "43" }).status);
    expect(server.stream.url.searchParams.getAll("channel")).toEqual(["pipeline:43"]);
  });
});
