import { channel, staticSchema, subscribe, type Message, type Snapshot } from "../src/index.js";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { follow } from "./support/follow.js";
import { server, tick } from "./support/server.js";

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0);
});
afterEach(() => {
  vi.useRealTimers();
});

describe("the request", () => {
  test("asks for channels and topics, with the token in the header and nowhere else", async () => {
    const s = server();
    const sub = subscribe({
      url: "http://sluice/base/",
      fetch: s.fetch,
      token: "secret",
      channels: ["a/b:é&", "pipeline:*"],
      topics: ["t", "u"],
      replay: 3,
    });
    await tick();
    const { url, headers, method } = s.last;
    expect(url.pathname).toBe("/base/v1/subscribe");
    expect([...url.searchParams]).toEqual([
      ["channel", "a/b:é&"],
      ["channel", "pipeline:*"],
      ["topic", "t"],
      ["topic", "u"],
      ["replay", "3"],
    ]);
    expect(Object.fromEntries(headers)).toEqual({ accept: "text/event-stream", authorization: "Bearer secret" });
    expect(method).toBe("GET");
    expect(url.href).not.toContain("secret");
    sub.close();
  });

  test("without options asks for what the token names", async () => {
    const s = server();
    const sub = subscribe({ url: new URL("http://sluice"), fetch: s.fetch });
    await tick();
    expect(s.last.url.href).toBe("http://sluice/v1/subscribe");
    expect(s.last.token).toBeNull();
    sub.close();
  });

  test("goes to the page's origin, and with a path only to that path there", async () => {
    vi.stubGlobal("location", new URL("https://page.example/some/where?a=1#b"));
    const s = server();
    const subs = [subscribe({ fetch: s.fetch, channel: "c" }), subscribe({ url: "/sluice", fetch: s.fetch, channel: "c" })];
    await tick();
    expect(s.requests.map(({ url }) => url.href)).toEqual([
      "https://page.example/v1/subscribe?channel=c",
      "https://page.example/sluice/v1/subscribe?channel=c",
    ]);
    subs.forEach((sub) => sub.close());
  });

  test("uses the runtime's fetch if none is given", async () => {
    const s = server();
    vi.stubGlobal("fetch", s.fetch);
    const sub = subscribe({ url: "http://sluice", channel: "c" });
    await tick();
    expect(s.requests).toHaveLength(1);
    sub.close();
  });

  test("asks for defined channels by name, and for a family by its pattern", async () => {
    const s = server();
    const family = channel({ name: ({ a, b }: { a: string; b: string }) => `p:${a}:${b}`, topics: {} });
    const one = channel({ name: "one", topics: {} });
    const sub = subscribe({ url: "http://sluice", fetch: s.fetch, channels: [family, family({ a: "1", b: "2" }), one] });
    await tick();
    expect(s.last.query("channel")).toEqual(["p:*", "p:1:2", "one"]);
    sub.close();
  });

  test("resumes from lastEventId, and replays nothing then", async () => {
    const s = server();
    const { sub } = follow(s, { lastEventId: "e-7", replay: "all" });
    expect(sub.getSnapshot().position).toBe("e-7");
    await tick();
    expect(s.last.lastEventId).toBe("e-7");
    expect(s.last.query("replay")).toEqual([]);
    sub.close();
  });

  test("replays only until there is a position", async () => {
    const s = server();
    const { sub } = follow(s, { replay: "latest" });
    await tick();
    s.last.fail();
    await tick();
    expect(s.last.query("replay")).toEqual(["latest"]);
    s.last.open("e-5").break();
    await tick();
    s.last.open("e-5").end();
    await tick();
    expect(s.requests).toHaveLength(4);
    expect(s.requests.map(({ lastEventId }) => lastEventId)).toEqual([null, null, null, "e-5"]);
    sub.close();
  });

  test("does not go out when the subscription is closed in the same moment, or its signal has aborted", async () => {
    const s = server();
    follow(s).sub.close();
    const { sub } = follow(s, { signal: AbortSignal.abort() });
    await tick(60_000);
    expect(sub.getSnapshot().status).toBe("closed");
    expect(s.requests).toHaveLength(0);
  });

  test("EventSource without topics makes no sense", () => {
    expect(() => subscribe({ url: "http://sluice", channel: "c", eventSource: true })).toThrow(TypeError);
  });
});

describe("the snapshot", () => {
  test("goes through the states of a subscription, and tells of each", async () => {
    const s = server();
    const states: string[] = [];
    const { sub } = follow(s, {
      onStatus(status, snapshot) {
        expect(snapshot.status).toBe(status);
        states.push(status);
      },
    });
    expect(sub.getSnapshot()).toEqual({
      status: "connecting",
      pauseReason: null,
      error: null,
      run: { status: "unknown" },
      gaps: [],
      last: null,
      byTopic: {},
      position: null,
    });
    await tick();
    s.last.open();
    await tick();
    s.last.break();
    await tick();
    s.last.open();
    await tick();
    sub.pause();
    sub.pause();
    sub.resume();
    await tick();
    s.last.open();
    await tick();
    sub.close();
    sub.close();
    expect(states).toEqual(["open", "connecting", "open", "paused", "connecting", "open", "closed"]);
  });

  test("never changes; each change makes a new one and calls the listeners", async () => {
    const s = server();
    const { sub } = follow(s);
    const seen: Snapshot[] = [];
    const listener = vi.fn(() => {
      const snapshot = sub.getSnapshot();
      expect(snapshot).toBe(sub.getSnapshot());
      if (!seen.includes(snapshot)) seen.push(snapshot);
    });
    const stop = sub.subscribe(listener);
    await tick();
    s.last.open();
    await tick();
    const copies = seen.map((each) => JSON.stringify(each));
    s.last.message("e-1", 1).message("e-2", 2, { topic: "u" }).gap("e-2", "e-2", "e-3").message("e-3", 3);
    await tick();
    expect(seen.slice(0, copies.length).map((each) => JSON.stringify(each))).toEqual(copies);
    expect(sub.getSnapshot()).toMatchObject({
      last: { id: "e-3" },
      byTopic: { t: { id: "e-3" }, u: { id: "e-2" } },
      gaps: [{ after: "e-2", resumes_at: "e-3", reason: "overrun" }],
      position: "e-3",
    });
    const calls = listener.mock.calls.length;
    stop();
    s.last.message("e-4", 4);
    await tick();
    expect(listener).toHaveBeenCalledTimes(calls);
    expect(sub.getSnapshot().last).toMatchObject({ id: "e-4" });
    sub.close();
  });

  test("holds the last 100 gaps", async () => {
    const s = server();
    const { sub } = follow(s);
    await tick();
    s.last.open();
    for (let n = 1; n <= 130; n++) s.last.gap(`e-${n}`, `e-${n}`, `e-${n + 1}`).message(`e-${n + 1}`, n);
    await tick();
    const { gaps } = sub.getSnapshot();
    expect([gaps.length, gaps[0]!.after, gaps[99]!.after]).toEqual([100, "e-31", "e-130"]);
    sub.close();
  });

  test("moves its position past what the handlers have had, with what is not for them too", async () => {
    const s = server();
    const { sub, got } = follow(s, { topics: ["t"] });
    await tick();
    s.last.open().message("e-1", 1).event("$position", {}, "e-9");
    await tick();
    s.last.break();
    await tick();
    expect(got).toEqual([1]);
    expect(s.last.lastEventId).toBe("e-9");
    sub.close();
  });
});

describe("handlers", () => {
  test("gaps come in their place among the messages", async () => {
    const s = server();
    const order: unknown[] = [];
    const { sub } = follow(s, {
      onMessage: async ({ id }) => {
        await Promise.resolve();
        order.push(id);
      },
      onGap: ({ resumes_at }) => order.push(`gap to ${resumes_at}`),
      onRun: ({ status }) => order.push(status),
    });
    await tick();
    s.last.open().message("e-1", 1).gap("e-1", "e-1", "e-5").message("e-5", 5).run("e-6", { status: "running" }).message("e-7", 7);
    await tick();
    expect(order).toEqual(["e-1", "gap to e-5", "e-5", "running", "e-7"]);
    sub.close();
  });

  test("that throw, or whose promises fail, stop nothing, and are reported as uncaught", async () => {
    const uncaught: unknown[] = [];
    const later = queueMicrotask;
    vi.spyOn(globalThis, "queueMicrotask").mockImplementation((work) => {
      later(() => {
        try {
          work();
        } catch (error) {
          uncaught.push((error as Error).message);
        }
      });
    });
    const s = server();
    const got: unknown[] = [];
    const fail = (what: string) => () => {
      throw new Error(what);
    };
    const { sub } = follow(s, {
      onMessage: ({ id }) => {
        got.push(id);
        if (id === "e-1") throw new Error("message");
        return Promise.reject(new Error("promise"));
      },
      onStatus: fail("status"),
      onGap: fail("gap"),
      onRun: fail("run"),
      onChunk: fail("chunk"),
    });
    sub.subscribe(fail("listener"));
    await tick();
    s.last.open().message("e-1", 1).gap("e-1", "e-1", "e-2").run("e-2", { status: "running" }).message("e-3", 3);
    s.last.message("e-4", {}, { kind: "datastream-start", stream_id: "s" });
    await tick();
    s.last.message("e-5", "text", { kind: "chunk", stream_id: "s" });
    await tick();
    expect(got).toEqual(["e-1", "e-3", "e-4"]);
    expect(sub.getSnapshot()).toMatchObject({ status: "open", position: "e-5" });
    sub.close();
    await tick();
    expect(new Set(uncaught)).toEqual(new Set(["listener", "status", "message", "gap", "run", "chunk", "promise"]));
  });

  test("nothing is handed over after close()", async () => {
    const s = server();
    const got: unknown[] = [];
    const { sub } = follow(s, {
      onMessage: ({ id }) => {
        got.push(id);
        sub.close();
      },
      onRun: () => got.push("run"),
      onStatus: (status) => got.push(status),
    });
    await tick();
    s.last.open().message("e-1", 1).message("e-2", 2).run("e-3", { status: "running" });
    await tick();
    expect(got).toEqual(["open", "e-1", "closed"]);
    expect(s.last.left).toBe(true);
  });

  test("the signal closes it", async () => {
    const s = server();
    const aborter = new AbortController();
    const { sub, got } = follow(s, { signal: aborter.signal });
    await tick();
    s.last.open().message("e-1", 1);
    await tick();
    aborter.abort();
    s.last.message("e-2", 2);
    await tick(60_000);
    expect(sub.getSnapshot()).toMatchObject({ status: "closed", error: null });
    expect(got).toEqual([1]);
    expect(s.requests).toHaveLength(1);
    expect(s.last.left).toBe(true);
  });

  test("the data of an event is read by parse, if there is one", async () => {
    const s = server();
    const { sub, got } = follow(s, { parse: (json) => JSON.parse(json.replace(/"data":(\d+)/, '"data":"$1"')) as unknown });
    await tick();
    s.last.open().send('id: e-1\nevent: t\ndata: {"id":"e-1","channel":"c","topic":"t","kind":"data","data":12345678901234567890}\n\n');
    await tick();
    expect(got).toEqual(["12345678901234567890"]);
    sub.close();
  });
});

describe("pause and resume", () => {
  test("leave the connection and go on from the position", async () => {
    const s = server();
    const { sub, got } = follow(s);
    await tick();
    s.last.open().message("e-1", 1);
    await tick();
    sub.pause("hidden");
    expect(sub.getSnapshot()).toMatchObject({ status: "paused", pauseReason: "hidden" });
    expect(s.last.left).toBe(true);
    s.last.message("e-2", 2);
    await tick(60_000);
    expect([got, s.requests.length]).toEqual([[1], 1]);
    sub.resume("hidden");
    expect(sub.getSnapshot()).toMatchObject({ status: "connecting", pauseReason: null });
    await tick();
    expect(s.last.lastEventId).toBe("e-1");
    s.last.open("e-1").message("e-2", 2);
    await tick();
    expect(got).toEqual([1, 2]);
    sub.close();
  });

  test("each reason has to be taken away", async () => {
    const s = server();
    const { sub } = follow(s, { lastEventId: "e-1" });
    sub.pause("a");
    sub.pause("b");
    sub.pause("a");
    await tick();
    expect(sub.getSnapshot().pauseReason).toBe("a");
    sub.resume("a");
    sub.resume("c");
    expect(sub.getSnapshot()).toMatchObject({ status: "paused", pauseReason: "b" });
    await tick(60_000);
    expect(s.requests).toHaveLength(0);
    sub.resume("b");
    await tick();
    expect(s.requests).toHaveLength(1);
    sub.close();
  });

  test("before the first opening it connects for a position, and leaves then", async () => {
    const s = server();
    const states: string[] = [];
    const { sub, got } = follow(s, { replay: "all", onStatus: (status) => states.push(status) });
    sub.pause();
    expect(sub.getSnapshot().status).toBe("paused");
    await tick();
    expect(s.requests).toHaveLength(1);
    s.last.open("e-0").message("e-1", 1);
    await tick();
    expect(s.last.left).toBe(true);
    expect(got).toEqual([]);
    sub.resume();
    await tick();
    expect(s.last.lastEventId).toBe("e-0");
    s.last.open("e-0").message("e-1", 1);
    await tick();
    expect(got).toEqual([1]);
    expect(states).toEqual(["paused", "connecting", "open"]);
    sub.close();
  });

  test("during a wait: it ends the wait, and resume() connects at once", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0.9);
    const s = server();
    const { sub } = follow(s);
    await tick();
    s.last.open("e-3").end();
    await tick();
    sub.pause();
    await tick(60_000);
    expect(s.requests).toHaveLength(1);
    expect(sub.getSnapshot().status).toBe("paused");
    sub.resume();
    await tick();
    expect(s.requests).toHaveLength(2);
    expect(s.last.lastEventId).toBe("e-3");
    sub.close();
  });

  test("within one moment they come to nothing worse than a new connection", async () => {
    const s = server();
    const { sub, got } = follow(s);
    sub.pause();
    sub.resume();
    await tick();
    s.last.open().message("e-1", 1);
    await tick();
    sub.pause();
    sub.resume();
    sub.pause();
    sub.resume();
    await tick();
    expect(s.requests.filter(({ left }) => !left)).toHaveLength(1);
    s.last.open("e-1").message("e-2", 2);
    await tick();
    expect(got).toEqual([1, 2]);
    sub.close();
    await tick();
    expect(s.last.left).toBe(true);
  });

  test("after the end they change nothing", async () => {
    const s = server();
    const { sub } = follow(s);
    await tick();
    s.last.refuse(403, "forbidden");
    await tick();
    sub.pause();
    sub.resume();
    await tick(60_000);
    expect(sub.getSnapshot()).toMatchObject({ status: "error", pauseReason: null, error: { code: "forbidden" } });
    expect(s.requests).toHaveLength(1);
  });
});

describe("validation", () => {
  const issues = { issues: [{ message: "no" }] };
  const schemaOf = <T>(validate: (value: unknown) => T) => ({ "~standard": { version: 1, vendor: "test", validate } }) as const;

  async function run(validate: (value: unknown) => never, data: unknown[], options: object = {}) {
    const s = server();
    const typed = channel({ name: "c", topics: { t: { schema: schemaOf(validate) } } });
    const got: unknown[] = [];
    const invalid: unknown[] = [];
    const sub = subscribe({
      url: "http://sluice",
      fetch: s.fetch,
      channel: typed,
      onMessage: (message: Message) => got.push(message.kind === "data" && message.data),
      onInvalid: ({ code, cause }, message) => invalid.push([code, cause, message.id]),
      ...options,
    });
    await tick();
    s.last.open();
    data.forEach((each, i) => s.last.message(`e-${i + 1}`, each));
    await tick(1000);
    sub.close();
    return { got, invalid, snapshot: sub.getSnapshot() };
  }

  test("hands over what the schema makes of the data", async () => {
    const { got } = await run((value) => ({ value: Number(value) * 2 }) as never, ["1", "2"]);
    expect(got).toEqual([2, 4]);
  });

  test("tells of what breaks the schema and goes on", async () => {
    const { got, invalid, snapshot } = await run((value) => (value === 2 ? issues : { value }) as never, [1, 2, 3]);
    expect(got).toEqual([1, 3]);
    expect(invalid).toEqual([["invalid-message", issues.issues, "e-2"]]);
    expect(snapshot).toMatchObject({ position: "e-3", last: { data: 3 } });
  });

  test("keeps the order when the schema takes its time", async () => {
    const slow = (value: unknown): Promise<unknown> =>
      new Promise((resolve) => setTimeout(() => resolve(value === 2 ? issues : { value }), 100 - 10 * Number(value)));
    const { got, invalid } = await run(slow as never, [1, 2, 3]);
    expect(got).toEqual([1, 3]);
    expect(invalid).toHaveLength(1);
  });

  test.each([
    [
      "throws",
      () => {
        throw new Error("oops");
      },
    ],
    ["fails later", () => Promise.reject(new Error("oops"))],
  ])("a schema that %s finds the message invalid", async (_, validate) => {
    const { got, invalid } = await run(validate as never, [1, 2]);
    expect(got).toEqual([]);
    expect(invalid).toEqual([
      ["invalid-message", [{ message: "Error: oops" }], "e-1"],
      ["invalid-message", [{ message: "Error: oops" }], "e-2"],
    ]);
  });

  test("can be turned off", async () => {
    const { got } = await run(() => issues as never, [1], { validate: false });
    expect(got).toEqual([1]);
  });

  test("is not for topics of another channel, and not for those without a schema", async () => {
    const s = server();
    const strict = channel({ name: "strict", topics: { t: { schema: schemaOf(() => issues) } } });
    const free = channel({ name: "free", topics: { t: { schema: staticSchema<number>() } } });
    const got: unknown[] = [];
    const sub = subscribe({ url: "http://sluice", fetch: s.fetch, channels: [strict, free], onMessage: ({ id }) => got.push(id) });
    await tick();
    s.last.open().message("e-1", 1, { channel: "free" }).message("e-2", 2, { channel: "strict" });
    for (const [i, topic] of ["u", "constructor", "__proto__", "toString"].entries())
      s.last.message(`e-${i + 3}`, 1, { channel: "strict", topic });
    await tick();
    expect(got).toEqual(["e-1", "e-3", "e-4", "e-5", "e-6"]);
    sub.close();
  });

  test("a family's schema holds for its channels", async () => {
    const s = server();
    const family = channel({
      name: ({ id }: { id: string }) => `p:${id}`,
      topics: { t: { schema: schemaOf((value) => ({ value: `<${String(value)}>` })) } },
    });
    const got: unknown[] = [];
    const sub = subscribe({
      url: "http://sluice",
      fetch: s.fetch,
      channel: family,
      onMessage: (message) => got.push(message.kind === "data" && message.data),
    });
    await tick();
    s.last.open().message("e-1", 1, { channel: "p:1" }).message("e-2", 2, { channel: "p:2" });
    await tick();
    expect(got).toEqual(["<1>", "<2>"]);
    sub.close();
  });
});
