import { type Snapshot } from "../src/index.js";
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
    expect(sub.getSnapshot().position).toBe("e-9");
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

  test("close() in the handler of the opening ends it before the first message", async () => {
    const s = server();
    const { sub, got } = follow(s, { onStatus: (status) => status === "open" && sub.close() });
    await tick();
    s.last.open().message("e-1", 1);
    await tick(60_000);
    expect(got).toEqual([]);
    expect(sub.getSnapshot().status).toBe("closed");
    expect(s.requests.map(({ left }) => left)).toEqual([true]);
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

  test.each(["close", "refusal", "server's end", "loop", "signal"])(
    "nothing listens to the signal any more after the end: %s",
    async (how) => {
      const listeners = new Set<unknown>();
      const aborter = new AbortController();
      const { signal } = aborter;
      const { addEventListener, removeEventListener } = signal;
      signal.addEventListener = (type: string, listener: never) => {
        listeners.add(listener);
        addEventListener.call(signal, type, listener);
      };
      signal.removeEventListener = (type: string, listener: never) => {
        listeners.delete(listener);
        removeEventListener.call(signal, type, listener);
      };
      const s = server();
      const { sub } = follow(s, { signal });
      await tick();
      expect(listeners.size).toBe(1);
      if (how === "refusal") s.last.refuse(403, "forbidden");
      else s.last.open();
      await tick();
      if (how === "close") sub.close();
      if (how === "server's end") s.last.close(4403, "disconnected");
      if (how === "loop") void sub[Symbol.asyncIterator]().return!(undefined).then(() => sub.close());
      if (how === "signal") aborter.abort();
      await tick();
      expect(listeners.size).toBe(0);
      follow(s, { signal: AbortSignal.abort() });
    },
  );

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
