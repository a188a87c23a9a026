// @vitest-environment jsdom
import { afterEach, describe, expect, it } from "vitest";
import { SluiceError } from "../src/index.js";
import { useRealtime, type Realtime, type RealtimeOptions } from "../src/react/index.js";
import { bye, cleanUp, gap, opened, ran, renderHook, run42, scriptedServer, setHidden, settled, status } from "./react.harness.js";

afterEach(async () => {
  await setHidden(false);
  await cleanUp();
});

type Options = Partial<RealtimeOptions<typeof run42>>;

const standing = ({ connectionStatus, isPaused, pauseReason, runStatus, result, error, gaps, messages }: Realtime) => {
  return { connectionStatus, isPaused, pauseReason, runStatus, result, error, gaps, count: messages.all.length };
};

async function connecting(options: Options = {}) {
  const server = scriptedServer();
  const hook = await renderHook((more: Options) => standing(useRealtime({ channel: run42, fetch: server.fetch, ...more })), options);
  return { server, ...hook, now: () => hook.now };
}

async function opening(options: Options = {}) {
  const all = await connecting(options);
  all.server.stream.send(opened());
  await settled();
  return all;
}

describe("connectionStatus", () => {
  it("goes from idle over connecting to open", async () => {
    const { server, commits, renders } = await opening();
    expect(renders[0]).toEqual({
      connectionStatus: "idle",
      isPaused: false,
      pauseReason: null,
      runStatus: "unknown",
      result: undefined,
      error: null,
      gaps: [],
      count: 0,
    });
    expect(commits.map(({ connectionStatus }) => connectionStatus)).toEqual(["idle", "connecting", "open"]);
    expect(server.streams).toHaveLength(1);
    expect(server.stream.url.searchParams.get("replay")).toBe("latest");
  });

  it("is error after a refusal", async () => {
    const server = scriptedServer();
    server.refuse(403, "forbidden");
    const { now } = await renderHook(() => standing(useRealtime({ channel: run42, fetch: server.fetch })), undefined);
    expect(now).toMatchObject({ connectionStatus: "error", error: { code: "forbidden", status: 403 } });
  });

  it("is closed after the server's last word", async () => {
    const { server, now } = await opening();
    server.stream.send(bye(1, 4403, false));
    await settled();
    expect(now()).toMatchObject({ connectionStatus: "closed", error: { code: 4403 } });
    expect(server.streams).toHaveLength(1);
  });

  it("is connecting after a loss, with the error, until it is open again", async () => {
    const { server, now } = await opening({ reconnectMinMs: 0 });
    server.stream.send(status(1, "a"));
    await settled();
    server.stream.cut();
    await expect.poll(() => server.streams.length).toBe(2);
    expect(now()).toMatchObject({ connectionStatus: "connecting", error: { code: "network" }, count: 1 });
    expect(server.stream.headers.get("last-event-id")).toBe("k-1");
    server.stream.send(opened(1));
    await settled();
    expect(now()).toMatchObject({ connectionStatus: "open", error: null, count: 1 });
  });

  it("is error after a loss with reconnect: false", async () => {
    const { server, now } = await opening({ reconnect: false });
    server.stream.cut();
    await settled();
    expect(now()).toMatchObject({ connectionStatus: "error", error: { code: "network" } });
    expect(server.streams).toHaveLength(1);
  });
});

describe("a run", () => {
  it("tells its status and result, and closes when it has ended", async () => {
    const { server, now } = await opening();
    server.stream.send(ran(1, { status: "running" }));
    await settled();
    expect(now()).toMatchObject({ runStatus: "running", result: undefined, connectionStatus: "open" });
    server.stream.send(status(2, "last"), ran(3, { status: "completed", result: { rows: 7 } }));
    await settled();
    expect(now()).toMatchObject({ runStatus: "completed", result: { rows: 7 }, connectionStatus: "closed", error: null, count: 1 });
    expect(server.live()).toEqual([]);
  });

  it("leaves the connection with autoCloseOnTerminal: false", async () => {
    const { server, now } = await opening({ autoCloseOnTerminal: false });
    server.stream.send(ran(1, { status: "cancelled" }));
    await settled();
    expect(now()).toMatchObject({ runStatus: "cancelled", connectionStatus: "open" });
  });

  it.each([
    { name: "a text", error: "out of memory", message: "out of memory" },
    { name: "an object", error: { message: "boom", code: 7 }, message: "boom" },
    { name: "anything else", error: 7, message: "The run has failed" },
    { name: "nothing", error: undefined, message: "The run has failed" },
  ])("that fails is an error: $name", async ({ error, message }) => {
    const { server, now } = await opening();
    server.stream.send(ran(1, { status: "failed", error }));
    await settled();
    expect(now()).toMatchObject({ runStatus: "failed", connectionStatus: "closed", result: undefined });
    expect(now().error).toBeInstanceOf(SluiceError);
    expect(now().error).toMatchObject({ code: "run-failed", message, cause: error });
  });

  it("that starts over is no error any more", async () => {
    const { server, now } = await opening({ autoCloseOnTerminal: false });
    server.stream.send(ran(1, { status: "failed", error: "boom" }));
    await settled();
    server.stream.send(ran(2, { status: "running" }));
    await settled();
    expect(now()).toMatchObject({ runStatus: "running", error: null });
  });
});

describe("error and gaps", () => {
  it("tell of a message that breaks its schema", async () => {
    const { server, now } = await opening();
    server.stream.send(status(1, 42));
    await settled();
    expect(now()).toMatchObject({ error: { code: "invalid-message" }, count: 0, connectionStatus: "open" });
  });

  it("do not, with validate: false", async () => {
    const { server, now } = await opening({ validate: false });
    server.stream.send(status(1, 42));
    await settled();
    expect(now()).toMatchObject({ error: null, count: 1 });
  });

  it("tell of what was lost", async () => {
    const { server, now } = await opening();
    server.stream.send(gap(5));
    await settled();
    expect(now().gaps).toMatchObject([{ after: "k-0", resumes_at: "k-5", reason: "overrun" }]);
  });
});

describe("enabled", () => {
  it("is idle and connects to nothing before it is true", async () => {
    const { server, now, rerender } = await connecting({ enabled: false });
    expect(now()).toMatchObject({ connectionStatus: "idle", isPaused: false, pauseReason: null });
    expect(server.streams).toEqual([]);
    await rerender({ enabled: true });
    expect(now().connectionStatus).toBe("connecting");
    expect(server.streams).toHaveLength(1);
  });

  it("pauses and goes on from there", async () => {
    const { server, now, rerender } = await opening();
    server.stream.send(status(1, "a"));
    await settled();
    await rerender({ enabled: false });
    expect(now()).toMatchObject({ connectionStatus: "paused", isPaused: true, pauseReason: "disabled", count: 1 });
    expect(server.live()).toEqual([]);
    await rerender({ enabled: true });
    expect(server.stream.headers.get("last-event-id")).toBe("k-1");
    expect(server.stream.url.searchParams.get("replay")).toBeNull();
    server.stream.send(opened(1), status(2, "b"));
    await settled();
    expect(now()).toMatchObject({ connectionStatus: "open", isPaused: false, pauseReason: null, count: 2 });
  });

  it("is idle again when nothing had connected yet", async () => {
    const { server, now, rerender } = await connecting();
    await rerender({ enabled: false });
    expect(now().connectionStatus).toBe("idle");
    expect(server.live()).toEqual([]);
  });

  it("changes nothing of what is closed", async () => {
    const { server, now, rerender } = await opening();
    server.stream.send(ran(1, { status: "completed" }));
    await settled();
    await rerender({ enabled: false });
    await rerender({ enabled: true });
    expect(now().connectionStatus).toBe("closed");
    expect(server.streams).toHaveLength(1);
  });
});

describe("pauseOnHidden", () => {
  it("pauses while nobody looks", async () => {
    const { server, now } = await opening();
    await setHidden(true);
    expect(now()).toMatchObject({ connectionStatus: "paused", isPaused: true, pauseReason: "hidden" });
    expect(server.live()).toEqual([]);
    await setHidden(false);
    expect(server.stream.headers.get("last-event-id")).toBe("k-0");
    server.stream.send(opened(0));
    await settled();
    expect(now()).toMatchObject({ connectionStatus: "open", isPaused: false, pauseReason: null });
  });

  it("gets a position first on a page that opens in the background", async () => {
    await setHidden(true);
    const { server, now } = await connecting();
    expect(now()).toMatchObject({ connectionStatus: "paused", pauseReason: "hidden" });
    expect(server.live()).toHaveLength(1);
    server.stream.send(opened(7));
    await settled();
    expect(server.live()).toEqual([]);
    await setHidden(false);
    expect(server.stream.headers.get("last-event-id")).toBe("k-7");
  });

  it("does nothing when it is false", async () => {
    const { server, now } = await opening({ pauseOnHidden: false });
    await setHidden(true);
    expect(now().connectionStatus).toBe("open");
    expect(server.live()).toHaveLength(1);
  });

  it("and enabled each hold it", async () => {
    const { server, now, rerender } = await opening();
    await setHidden(true);
    await rerender({ enabled: false });
    expect(now().pauseReason).toBe("disabled");
    await rerender({ enabled: true });
    expect(now().pauseReason).toBe("hidden");
    await rerender({ enabled: false });
    await setHidden(false);
    expect(now().pauseReason).toBe("disabled");
    expect(server.live()).toEqual([]);
    await rerender({ enabled: true });
    expect(now().connectionStatus).toBe("connecting");
  });
});

describe("reset", () => {
  it("forgets everything and begins anew", async () => {
    const server = scriptedServer();
    const hook = await renderHook(() => {
      const { reset, ...rest } = useRealtime({ channel: run42, fetch: server.fetch });
      return { reset, ...standing(rest as Realtime) };
    }, undefined);
    const { reset } = hook.now;
    server.stream.send(opened(), gap(1), status(2, "a"), ran(3, { status: "failed", error: "boom" }));
    await settled();
    expect(hook.now).toMatchObject({ connectionStatus: "closed", runStatus: "failed", count: 1 });
    reset();
    await settled();
    expect(hook.now).toEqual({
      reset, // the same function
      connectionStatus: "connecting",
      isPaused: false,
      pauseReason: null,
      runStatus: "unknown",
      result: undefined,
      error: null,
      gaps: [],
      count: 0,
    });
    expect(server.live()).toHaveLength(1);
    expect(server.stream.headers.get("last-event-id")).toBeNull();
    expect(server.stream.url.searchParams.get("replay")).toBe("latest");
  });
});
