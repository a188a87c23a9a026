// @vitest-environment jsdom
import { Activity, StrictMode, startTransition, useState } from "react";
import { createRoot, hydrateRoot } from "react-dom/client";
import { renderToString } from "react-dom/server";
import { afterEach, describe, expect, it, vi } from "vitest";
import { useRealtime, type Realtime } from "../src/react/index.js";
import {
  begin,
  chunk,
  cleanUp,
  finish,
  gap,
  opened,
  ran,
  renderHook,
  run42,
  scriptedServer,
  setHidden,
  settled,
  status,
} from "./react.harness.js";

afterEach(cleanUp);

// Four changes of messages; the second status breaks its schema.
const everything = [
  status(1, "a"),
  ...[begin(2, "s"), chunk(3, "s", "text"), finish(4, "s")],
  gap(5),
  status(6, 0),
  ran(7, { status: "completed", result: 1 }),
];

describe("a component is rendered again for what it reads", () => {
  it.each<{ name: string; read: (hook: Realtime) => unknown; renders: number }>([
    { name: "nothing", read: () => undefined, renders: 0 },
    { name: "messages, but nothing of them", read: ({ messages }) => typeof messages, renders: 0 },
    { name: "connectionStatus", read: (hook) => hook.connectionStatus, renders: 3 }, // connecting, open, closed
    { name: "isPaused", read: (hook) => hook.isPaused, renders: 0 },
    { name: "pauseReason", read: (hook) => hook.pauseReason, renders: 0 },
    { name: "runStatus", read: (hook) => hook.runStatus, renders: 1 },
    { name: "result", read: (hook) => hook.result, renders: 1 },
    { name: "gaps", read: (hook) => hook.gaps, renders: 1 },
    { name: "byTopic", read: ({ messages }) => messages.byTopic, renders: 4 },
    { name: "all", read: ({ messages }) => messages.all, renders: 4 },
    { name: "last", read: ({ messages }) => messages.last, renders: 4 },
    { name: "delta", read: ({ messages }) => messages.delta, renders: 4 },
    { name: "reset and publish", read: ({ reset, publish }) => [reset, publish], renders: 0 },
  ])("$name: $renders times", async ({ read, renders }) => {
    const server = scriptedServer();
    const hook = await renderHook(() => read(useRealtime({ channel: run42, fetch: server.fetch })), undefined);
    server.stream.send(opened());
    await settled();
    for (const event of everything) {
      server.stream.send(event);
      await settled();
    }
    expect(hook.renders.length - 1).toBe(renders);
  });

  it("from the moment on when it reads it", async () => {
    const server = scriptedServer();
    const hook = await renderHook(
      ({ curious }: { curious: boolean }) => {
        const { messages } = useRealtime({ channel: run42, fetch: server.fetch });
        return curious ? messages.all.length : 0;
      },
      { curious: false },
    );
    server.stream.send(opened(), status(1, "a"));
    await settled();
    expect(hook.renders).toHaveLength(1);
    await hook.rerender({ curious: true });
    expect(hook.now).toBe(1); // at once what it is now
    server.stream.send(status(2, "b"));
    await settled();
    expect(hook.now).toBe(2);
  });

  it("also when it reads it after the rendering", async () => {
    const server = scriptedServer();
    const hook = await renderHook(() => useRealtime({ channel: run42, fetch: server.fetch }), undefined);
    server.stream.send(opened(), status(1, "a"));
    await settled();
    expect(hook.renders).toHaveLength(1);
    expect(hook.now.messages.all).toEqual([]); // in a handler, of the state that is shown
    await settled();
    expect(hook.renders).toHaveLength(2);
    expect(hook.now.messages.all).toHaveLength(1);
  });

  it("and gets the same object as long as nothing has changed", async () => {
    const server = scriptedServer();
    const hook = await renderHook(() => useRealtime({ channel: run42, fetch: server.fetch }), 1);
    await hook.rerender(2);
    const { now } = hook;
    await setHidden(false); // as it was
    await hook.rerender(3);
    expect(hook.now).toBe(now);
  });
});

describe("StrictMode", () => {
  it("makes one subscription, loses nothing and tells of nothing that was given up", async () => {
    const server = scriptedServer();
    const statuses: string[] = [];
    const hook = await renderHook(
      () => {
        const { messages, connectionStatus } = useRealtime({ channel: run42, fetch: server.fetch, onStatus: (now) => statuses.push(now) });
        return { connectionStatus, count: messages.all.length };
      },
      undefined,
      { strict: true },
    );
    expect(server.streams).toHaveLength(1);
    server.stream.send(opened(), status(1, "a"));
    await settled();
    expect(hook.now).toEqual({ connectionStatus: "open", count: 1 });
    expect(statuses).toEqual(["open"]);
    await hook.unmount();
    expect(server.live()).toEqual([]);
  });

  it("makes one subscription after a reset and for another key", async () => {
    const server = scriptedServer();
    const hook = await renderHook((key: string) => useRealtime({ channel: run42, key, fetch: server.fetch }), "a", { strict: true });
    await hook.rerender("b");
    hook.now.reset();
    await settled();
    expect(server.streams).toHaveLength(3);
    expect(server.live()).toHaveLength(1);
  });

  it("makes one with lastEventId, which is a position from the beginning", async () => {
    const server = scriptedServer();
    await renderHook(() => useRealtime({ channel: run42, lastEventId: "k-9", fetch: server.fetch }), undefined, { strict: true });
    expect(server.streams).toHaveLength(1);
    expect(server.stream.headers.get("last-event-id")).toBe("k-9");
  });
});

describe("unmounting", () => {
  it("leaves the connection, before it has opened and after", async () => {
    for (const open of [false, true]) {
      const server = scriptedServer();
      const hook = await renderHook(() => useRealtime({ channel: run42, fetch: server.fetch }).connectionStatus, undefined);
      if (open) server.stream.send(opened());
      await settled();
      await hook.unmount();
      expect(server.live()).toEqual([]);
    }
  });

  it("leaves no timer and no listener", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval"] });
    const added = vi.spyOn(document, "addEventListener");
    const removed = vi.spyOn(document, "removeEventListener");
    const looks = ({ mock }: typeof added | typeof removed) =>
      mock.calls.filter(([type]) => type === "visibilitychange").map(([, listener]) => listener);
    const server = scriptedServer();
    const hook = await renderHook(() => useRealtime({ channel: run42, fetch: server.fetch, bufferInterval: 50 }).messages.all, undefined);
    server.stream.send(opened(), status(1, "a"));
    await settled();
    expect(vi.getTimerCount()).toBeGreaterThan(0);
    await hook.unmount();
    expect(vi.getTimerCount()).toBe(0);
    expect(looks(added)).not.toEqual([]);
    expect(new Set(looks(removed))).toEqual(new Set(looks(added)));
    vi.useRealTimers();
  });

  it("by Activity keeps everything, and goes on from there", async () => {
    const server = scriptedServer();
    const seen: string[] = [];
    function Reader(): null {
      const { messages } = useRealtime({ channel: run42, fetch: server.fetch });
      const text = messages.byTopic.tokens;
      seen.push(text?.text ?? "");
      return null;
    }
    const root = createRoot(document.createElement("div"));
    const show = async (mode: "visible" | "hidden"): Promise<void> => {
      root.render(
        <Activity mode={mode}>
          <Reader />
        </Activity>,
      );
      await settled();
    };
    await show("visible");
    server.stream.send(opened(), begin(1, "s"), chunk(2, "s", "one"));
    await settled();
    await show("hidden");
    expect(server.live()).toEqual([]);
    await show("visible");
    expect(server.stream.headers.get("last-event-id")).toBe("k-2");
    server.stream.send(opened(2), chunk(3, "s", " two"));
    await settled();
    expect(seen.at(-1)).toBe("one two");
    root.unmount();
  });
});

it("two components of one transition show the same state", async () => {
  const server = scriptedServer();
  const torn: unknown[] = [];
  let go!: () => void;
  function Slow({ hook }: { hook: Realtime }): null {
    const end = performance.now() + 2;
    while (performance.now() < end);
    pairs.push(hook.messages.all.length);
    return null;
  }
  const pairs: number[] = [];
  function Parent() {
    const [wide, setWide] = useState(false);
    go = () => startTransition(() => setWide(true));
    const hook = useRealtime({ channel: run42, fetch: server.fetch }) as Realtime;
    pairs.length = 0;
    pairs.push(hook.messages.all.length);
    return wide ? Array.from({ length: 20 }, (_, n) => <Slow key={n} hook={hook} />) : null;
  }
  const root = createRoot(document.createElement("div"));
  root.render(<Parent />);
  await settled();
  server.stream.send(opened());
  await settled();
  go();
  for (let seq = 1; seq <= 30; seq++) {
    server.stream.send(status(seq, "x"));
    await new Promise((resolve) => setTimeout(resolve, 2));
    if (new Set(pairs).size > 1) torn.push([...pairs]);
  }
  await settled();
  expect(torn).toEqual([]);
  expect(pairs.at(-1)).toBe(30);
  root.unmount();
});

it("hydrates what a server has rendered, without a word", async () => {
  const server = scriptedServer();
  const errors = vi.spyOn(console, "error");
  function Page() {
    const { connectionStatus, messages } = useRealtime({ channel: run42, fetch: server.fetch });
    return <p>{`${connectionStatus} ${messages.all.length}`}</p>;
  }
  const container = document.createElement("div");
  container.innerHTML = renderToString(<Page />);
  expect(container.textContent).toBe("idle 0");
  expect(server.streams).toEqual([]);
  const recovered = vi.fn();
  const root = hydrateRoot(
    container,
    <StrictMode>
      <Page />
    </StrictMode>,
    { onRecoverableError: recovered },
  );
  await settled();
  server.stream.send(opened(), status(1, "a"));
  await settled();
  expect(container.textContent).toBe("open 1");
  expect(recovered).not.toHaveBeenCalled();
  expect(errors).not.toHaveBeenCalled();
  expect(server.streams).toHaveLength(1);
  root.unmount();
});
