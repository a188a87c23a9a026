// @vitest-environment jsdom
import { Suspense, useLayoutEffect } from "react";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Message } from "../src/index.js";
import { useRealtime, type Messages } from "../src/react/index.js";
import {
  begin,
  chunk,
  cleanUp,
  finish,
  opened,
  ran,
  renderHook,
  run42,
  scriptedServer,
  setHidden,
  settled,
  status,
} from "./react.harness.js";

afterEach(async () => {
  vi.useRealTimers();
  await cleanUp();
});

/** What a message says, in short. */
function short(message: Message): unknown {
  return message.kind === "data" ? (message.data as { step: string }).step : message.text + (message.state === "open" ? "…" : "");
}

const shorts = ({ byTopic, all, last, delta }: Messages) => ({
  byTopic: Object.fromEntries(Object.entries(byTopic).map(([topic, message]) => [topic, short(message!)])),
  all: all.map(short),
  last: last && short(last),
  delta: delta.map(short),
});

type Options = Omit<Parameters<typeof useRealtime<typeof run42>>[0], "channel" | "fetch">;

async function opening(options: Options = {}) {
  const server = scriptedServer();
  const hook = await renderHook((more: Options) => shorts(useRealtime({ channel: run42, fetch: server.fetch, ...more }).messages), options);
  server.stream.send(opened());
  await settled();
  return { server, ...hook, now: () => hook.now };
}

describe("messages", () => {
  it("are empty in the beginning", async () => {
    const { now } = await opening();
    expect(now()).toEqual({ byTopic: {}, all: [], last: null, delta: [] });
  });

  it("are all, the last, the latest of each topic, and what is new", async () => {
    const { server, now } = await opening();
    server.stream.send(status(1, "a"), begin(2, "s"), finish(3, "s"));
    await settled();
    server.stream.send(status(4, "b"));
    await settled();
    expect(now()).toEqual({ byTopic: { status: "b", tokens: "" }, all: ["a", "", "b"], last: "b", delta: ["b"] });
  });

  it("do not contain the run", async () => {
    const { server, now } = await opening();
    server.stream.send(ran(1, { status: "running" }));
    await settled();
    expect(now()).toEqual({ byTopic: {}, all: [], last: null, delta: [] });
  });

  it("that arrive in one piece make one rendering", async () => {
    const { server, now, renders } = await opening({ historyLimit: null });
    const before = renders.length;
    server.stream.send(...Array.from({ length: 1000 }, (_, n) => status(n + 1, String(n))));
    await settled();
    expect(renders.length - before).toBe(1);
    expect(now().all).toHaveLength(1000);
    expect(now().delta).toHaveLength(1000);
  });

  it("keep their order and identity as they become more", async () => {
    const server = scriptedServer();
    const hook = await renderHook(() => useRealtime({ channel: run42, fetch: server.fetch }).messages.all, undefined);
    server.stream.send(opened(), status(1, "a"));
    await settled();
    const [first] = hook.now;
    const before = hook.now;
    server.stream.send(status(2, "b"));
    await settled();
    expect(hook.now[0]).toBe(first);
    expect(before).toHaveLength(1); // what was shown does not change
  });
});

describe("historyLimit", () => {
  it.each([
    { limit: 2, all: ["2", "3"] },
    { limit: 0, all: [] },
    { limit: null, all: ["0", "1", "2", "3"] },
  ])("of $limit keeps the newest", async ({ limit, all }) => {
    const { server, now } = await opening({ historyLimit: limit });
    server.stream.send(...["0", "1", "2", "3"].map((step, n) => status(n + 1, step)));
    await settled();
    expect(now()).toEqual({ byTopic: { status: "3" }, all, last: "3", delta: ["0", "1", "2", "3"] });
  });

  it("is 100 when it is left out", async () => {
    const { server, now } = await opening();
    server.stream.send(...Array.from({ length: 101 }, (_, n) => status(n + 1, String(n))));
    await settled();
    expect(now().all).toHaveLength(100);
    expect(now().all[0]).toBe("1");
  });
});

describe("a text stream", () => {
  it("grows in its place", async () => {
    const { server, now } = await opening();
    server.stream.send(begin(1, "s"), chunk(2, "s", "one"));
    await settled();
    expect(now()).toEqual({ byTopic: { tokens: "one…" }, all: ["one…"], last: "one…", delta: ["one…"] });
    server.stream.send(status(3, "between"));
    await settled();
    server.stream.send(chunk(4, "s", " two"), chunk(5, "s", " three"), finish(6, "s"));
    await settled();
    expect(now()).toEqual({
      byTopic: { status: "between", tokens: "one two three" },
      all: ["one two three", "between"],
      last: "one two three",
      delta: ["one two three"],
    });
  });

  it("does not mix with another one", async () => {
    const { server, now } = await opening();
    server.stream.send(begin(1, "a"), begin(2, "b"), chunk(3, "a", "A"), chunk(4, "b", "B"), chunk(5, "a", "A"));
    await settled();
    expect(now().all).toEqual(["AA…", "B…"]);
    expect(now().delta).toEqual(["AA…", "B…"]);
  });

  it("that has left the history does not come back, but is new", async () => {
    const { server, now } = await opening({ historyLimit: 1 });
    server.stream.send(begin(1, "s"), status(2, "later"));
    await settled();
    server.stream.send(chunk(3, "s", "more"));
    await settled();
    expect(now()).toMatchObject({ all: ["later"], delta: ["more…"], last: "more…" });
  });
});

describe("delta", () => {
  it("hands over each message once, however the renderings fall", async () => {
    const server = scriptedServer();
    const hook = await renderHook(() => useRealtime({ channel: run42, fetch: server.fetch }).messages.delta, undefined);
    server.stream.send(opened());
    for (let seq = 1; seq <= 40; seq++) {
      server.stream.send(status(seq, String(seq)));
      // From one promise's turn between two messages to all that there are.
      for (let turn = 0; turn < seq % 13; turn++) await Promise.resolve();
    }
    await settled();
    const steps = Array.from({ length: 40 }, (_, n) => String(n + 1));
    for (const seen of [hook.commits, hook.layouts]) {
      const distinct = seen.filter((delta, n) => delta !== seen[n - 1]);
      expect(distinct.flat().map(short)).toEqual(steps);
    }
  });

  it("keeps what came while the component could not be rendered, and hands it over once", async () => {
    const server = scriptedServer();
    let pending: Promise<void> | undefined;
    let onLayout = (): void => {};
    const hook = await renderHook(
      () => {
        const { delta } = useRealtime({ channel: run42, fetch: server.fetch }).messages;
        // eslint-disable-next-line @typescript-eslint/only-throw-error -- so a component suspends
        if (pending) throw pending;
        useLayoutEffect(() => onLayout());
        return delta;
      },
      undefined,
      { Wrapper: Suspense },
    );
    server.stream.send(opened());
    await settled();
    let resume!: () => void;
    pending = new Promise((resolve) => (resume = resolve));
    server.stream.send(status(1, "a"));
    await settled();
    server.stream.send(status(2, "b"));
    await settled();
    pending = undefined;
    onLayout = () => {
      onLayout = () => {};
      server.stream.send(status(3, "c")); // comes before the passive effects of this commit
    };
    resume();
    await expect.poll(() => hook.commits.length).toBeGreaterThan(1); // React takes its time
    await settled();
    expect(hook.commits.map((delta) => delta.map(short))).toEqual([[], ["a", "b"], ["c"]]);
  });

  it("stays the same while something else changes", async () => {
    const server = scriptedServer();
    const hook = await renderHook(() => {
      const { messages, runStatus } = useRealtime({ channel: run42, fetch: server.fetch });
      return { runStatus, delta: messages.delta };
    }, undefined);
    server.stream.send(opened(), status(1, "a"));
    await settled();
    const { delta } = hook.now;
    server.stream.send(ran(2, { status: "running" }));
    await settled();
    expect(hook.now.runStatus).toBe("running");
    expect(hook.now.delta).toBe(delta);
  });

  it("hold one entry for a text that starts over", async () => {
    const server = scriptedServer();
    const hook = await renderHook(() => {
      const { byTopic, all } = useRealtime({ channel: run42, fetch: server.fetch }).messages;
      return { byTopic, all };
    }, undefined);
    const superseded = finish(4, "s").replace("complete", "superseded");
    server.stream.send(opened(), begin(1, "s"), chunk(2, "s", "first"), status(3, "between"), superseded);
    await settled();
    expect(hook.now.byTopic.tokens).toMatchObject({ text: "first", complete: false, state: "superseded" });
    server.stream.send(begin(5, "s"), chunk(6, "s", "second"), finish(7, "s"));
    await settled();
    expect(hook.now.all).toMatchObject([{ text: "second", complete: true }, { data: { step: "between" } }]);
    expect(hook.now.byTopic.tokens).toMatchObject({ text: "second", complete: true });
  });
});

describe("bufferInterval", () => {
  const fake = (): void => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });

  it("holds all, last and delta back, and byTopic not", async () => {
    fake();
    const { server, now } = await opening({ bufferInterval: 100 });
    server.stream.send(status(1, "a"));
    await settled();
    expect(now()).toEqual({ byTopic: { status: "a" }, all: [], last: null, delta: [] });
    vi.advanceTimersByTime(60);
    server.stream.send(status(2, "b"));
    await settled();
    vi.advanceTimersByTime(39);
    await settled();
    expect(now()).toEqual({ byTopic: { status: "b" }, all: [], last: null, delta: [] });
    vi.advanceTimersByTime(1);
    await settled();
    expect(now()).toEqual({ byTopic: { status: "b" }, all: ["a", "b"], last: "b", delta: ["a", "b"] });
  });

  it("changes them once in an interval", async () => {
    fake();
    const server = scriptedServer();
    const hook = await renderHook(
      () => useRealtime({ channel: run42, fetch: server.fetch, bufferInterval: 100 }).messages.all.length,
      undefined,
    );
    server.stream.send(opened());
    await settled();
    const before = hook.renders.length;
    for (let seq = 1; seq <= 50; seq++) {
      server.stream.send(status(seq, "x"));
      await settled();
      vi.advanceTimersByTime(10);
      await settled();
    }
    expect(hook.renders.length - before).toBe(5);
    expect(hook.now).toBe(50);
  });

  it.each([
    { name: "a pause", hide: true },
    { name: "the end", hide: false },
  ])("is over with $name", async ({ hide }) => {
    fake();
    const { server, now } = await opening({ bufferInterval: 1000 });
    server.stream.send(status(1, "a"));
    await settled();
    if (hide) await setHidden(true);
    else server.stream.send(ran(2, { status: "completed" }));
    await settled();
    expect(now().all).toEqual(["a"]);
    expect(now().delta).toEqual(["a"]);
    await setHidden(false);
  });
});
