import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Follower } from "./support/follow.js";
import { logServer } from "./support/log.js";
import { server, tick, type Server } from "./support/server.js";
import { closeAll, join, settle } from "./support/share.js";

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0);
});
afterEach(() => {
  vi.useRealTimers();
  closeAll();
});

describe("a refusal of what is asked for together", () => {
  test.each([400, 403, 404, 414])("%d: the one that is refused ends, the others go on", async (status) => {
    const s = server();
    const good = join(s, "good");
    const bad = join(s, "bad");
    const fine = join(s, "fine");
    await tick();
    s.last.refuse(status, "no");
    await tick();
    expect(s.requests.slice(1).map((each) => each.query("channel"))).toEqual([["good"], ["bad", "fine"]]);
    s.last.refuse(status, "no");
    await tick();
    expect(s.requests.slice(3).map((each) => each.query("channel"))).toEqual([["bad"], ["fine"]]);
    for (const each of [s.requests[1]!, ...s.requests.slice(3)]) {
      if (each.query("channel")[0] === "bad") each.refuse(status, "no");
      else each.open("e-1").message("e-2", 2, { channel: each.query("channel")[0]! });
    }
    await settle();
    await tick(30_000);
    expect([good, bad, fine].map(({ sub, got }) => [sub.getSnapshot().status, got])).toEqual([
      ["open", [2]],
      ["error", []],
      ["open", [2]],
    ]);
    expect(bad.sub.getSnapshot().error).toMatchObject({ status, code: "no" });
  });

  test("at the joining loses nothing either", async () => {
    const log = logServer({ forbidden: (channels) => channels.includes("a") && channels.includes("b") });
    const s = { ...log, requests: [], last: undefined } as unknown as Server;
    const a = join(s, "a");
    await tick();
    await tick(300);
    const b = join(s, "b");
    for (let i = 0; i < 60; i++) {
      await tick(100);
      log.publish("a");
      log.publish("b");
    }
    await tick(100);
    const numbers = (follower: Follower): number[] => follower.got as number[];
    expect(numbers(a)).toHaveLength(60);
    expect(numbers(b)).toHaveLength(60);
    expect(new Set([...numbers(a), ...numbers(b)]).size).toBe(120);
    expect(log.asked().sort()).toEqual(["a", "b"]);
    expect(log.requests()).toBe(5); // each, both, and each again: they are not brought together any more
  });

  test("401 with a fixed token ends all", async () => {
    const s = server();
    const a = join(s, "a");
    const b = join(s, "b");
    await tick();
    s.last.refuse(401, "unauthorized");
    await tick(60_000);
    expect(s.requests).toHaveLength(1);
    for (const { sub } of [a, b]) expect(sub.getSnapshot()).toMatchObject({ status: "error", error: { status: 401 } });
  });
});

describe("$close", () => {
  test("4410 ends those who named the channel; the others go on at once, without it", async () => {
    const s = server();
    const a = join(s, "a");
    const both = join(s, ["a", "b"]);
    const b = join(s, "b");
    await tick();
    s.last.open("e-1").message("e-2", 2, { channel: "b" }).close(4410, "channel_deleted", { channel: "a" }, "e-2");
    await tick();
    expect([a, both, b].map(({ sub }) => sub.getSnapshot().status)).toEqual(["closed", "closed", "open"]);
    expect(a.sub.getSnapshot().error).toMatchObject({ code: 4410 });
    await tick(1);
    expect(s.requests).toHaveLength(2);
    expect(s.last.query("channel")).toEqual(["b"]);
    expect(s.last.lastEventId).toBe("e-2");
    s.last.open("e-2").message("e-3", 3, { channel: "b" });
    await tick();
    expect(b.got).toEqual([2, 3]);
    expect(b.sub.getSnapshot()).toMatchObject({ status: "open", error: null });
  });

  test.each([4401, 4403])("%d ends all", async (code) => {
    const s = server();
    const a = join(s, "a");
    const b = join(s, "b");
    await tick();
    s.last.open().close(code, "why");
    await tick(60_000);
    for (const { sub } of [a, b]) expect(sub.getSnapshot()).toMatchObject({ status: "closed", error: { code } });
    expect(s.requests).toHaveLength(1);
  });
});
