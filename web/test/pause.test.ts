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
    await tick();
    expect(vi.getTimerCount()).toBe(0);
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
