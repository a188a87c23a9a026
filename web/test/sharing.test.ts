import { type Message } from "../src/index.js";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Options } from "./support/follow.js";
import { server, tick } from "./support/server.js";
import { alive, closeAll, join, settle } from "./support/share.js";

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0);
});
afterEach(() => {
  vi.useRealTimers();
  closeAll();
});

describe("subscriptions with the same options", () => {
  test("share a connection from the beginning when they are made in one moment", async () => {
    const s = server();
    const a = join(s, "a");
    const b = join(s, ["b", "a"]);
    await tick();
    expect(s.requests.map((each) => each.query("channel"))).toEqual([["a", "b"]]);
    s.last.open().message("e-1", 1, { channel: "a" }).message("e-2", 2, { channel: "b" }).message("e-3", 3, { channel: "other" });
    await tick();
    expect([a.got, b.got]).toEqual([[1], [1, 2]]);
    expect([a.sub.getSnapshot().status, b.sub.getSnapshot().status]).toEqual(["open", "open"]);
  });

  test("come on a connection of their own later, and are joined when things have settled", async () => {
    const s = server();
    const a = join(s, "a");
    await tick();
    s.last.open("e-5");
    await tick(500);
    const b = join(s, "b");
    await tick();
    expect(s.requests).toHaveLength(2);
    expect(s.last.query("channel")).toEqual(["b"]);
    s.last.open("e-7");
    s.requests[0]!.message("e-6", 6, { channel: "a" });
    await tick(999);
    expect(s.requests).toHaveLength(2);
    await tick(1);
    await tick();
    expect(s.requests).toHaveLength(3);
    expect(alive(s)).toEqual([s.last]);
    expect(s.last.query("channel")).toEqual(["a", "b"]);
    expect(s.last.lastEventId).toBe("e-6");
    s.last.open("e-6").message("e-7", 7, { channel: "b" }).message("e-8", 8, { channel: "a" }).message("e-9", 9, { channel: "b" });
    await tick();
    expect([a.got, b.got]).toEqual([[6, 8], [9]]);
    await tick(30_000);
    expect(s.requests).toHaveLength(3);
  });

  test("a wait that the server has asked for is not cut short by the others", async () => {
    const s = server();
    join(s, "a");
    await tick();
    s.last.open("e-1").close(4002, "server_draining", { retry_after_ms: 20_000 }, "e-1");
    await tick();
    join(s, "b");
    await tick();
    s.last.open("e-1");
    await tick(15_000);
    expect(s.requests.map((each) => each.query("channel").join())).toEqual(["a", "b"]);
    await tick(5000);
    expect(s.requests).toHaveLength(3);
    s.last.open("e-1");
    await settle();
    expect(alive(s).map((each) => each.query("channel"))).toEqual([["a", "b"]]);
  });

  test.each<[string, Options]>([
    ["token", { token: "other" }],
    ["source of tokens", { token: () => "t" }],
    ["server", { url: "http://other" }],
    ["waits", { reconnectMaxMs: 1 }],
    ["reconnect", { reconnect: false }],
    ["heartbeat", { heartbeatMs: 1 }],
  ])("that differ in their %s share nothing", async (_, options) => {
    const s = server();
    join(s, "a");
    join(s, "b", options);
    await tick();
    expect(s.requests).toHaveLength(2);
    s.requests.forEach((each) => each.open("e-1"));
    await settle();
    expect(alive(s)).toHaveLength(2);
  });

  test("that want different replays begin apart", async () => {
    const s = server();
    join(s, "a", { replay: "all" });
    join(s, "b", { replay: 2 });
    join(s, "c", { replay: "all" });
    await tick();
    expect(s.requests.map((each) => [each.query("channel").join(), each.query("replay").join()])).toEqual([
      ["a,c", "all"],
      ["b", "2"],
    ]);
    s.requests.forEach((each) => each.open("e-1"));
    await settle();
    expect(alive(s).map((each) => each.query("channel"))).toEqual([["a", "c", "b"]]);
    expect(s.last.query("replay")).toEqual([]);
  });

  test("with different topics are sent all, and each picks its own", async () => {
    const s = server();
    const a = join(s, "a", { topics: ["t"] });
    const b = join(s, "a", { topics: ["u"] });
    const all = join(s, "a");
    await tick();
    expect(s.last.query("topic")).toEqual([]);
    s.last
      .open()
      .message("e-1", 1, { channel: "a" })
      .message("e-2", 2, { channel: "a", topic: "u" })
      .message("e-3", 3, { channel: "a", topic: "v" });
    await tick();
    expect([a.got, b.got, all.got]).toEqual([[1], [2], [1, 2, 3]]);
  });

  test("with the same topics ask for these", async () => {
    const s = server();
    join(s, "a", { topics: ["t", "u"] });
    join(s, "b", { topics: ["t", "u"] });
    await tick();
    expect(s.last.query("topic")).toEqual(["t", "u"]);
  });

  test("without channels have a connection of their own", async () => {
    const s = server();
    const named = join(s, "a");
    const token = join(s, []);
    await tick();
    expect(s.requests.map((each) => each.query("channel"))).toEqual([["a"], []]);
    s.requests.forEach((each) => each.open("e-1"));
    await settle();
    expect(s.requests).toHaveLength(2);
    s.last.message("e-2", 2, { channel: "whatever" });
    await tick();
    expect([named.got, token.got]).toEqual([[], [2]]);
  });

  test("are told of a status of a run once, also who is ahead when they are joined", async () => {
    const s = server();
    const runs: unknown[] = [];
    join(s, "a", { onRun: ({ status }) => runs.push(status) });
    await tick();
    s.last.open("e-1").run("e-2", { status: "running" }, { channel: "a" }).run("e-3", { status: "completed" }, { channel: "a" });
    await tick();
    const slow = join(s, "b", { lastEventId: "e-1" });
    await tick();
    s.last.open("e-1");
    await settle();
    expect(s.last.lastEventId).toBe("e-1");
    s.last.open("e-1").run("e-2", { status: "running" }, { channel: "a" }).run("e-3", { status: "completed" }, { channel: "a" });
    s.last.message("e-4", 4, { channel: "b" });
    await tick();
    expect(runs).toEqual(["running", "completed"]);
    expect(slow.got).toEqual([4]);
  });

  test("are told of gaps that concern them, not of those that they are beyond", async () => {
    const s = server();
    const gaps: string[] = [];
    const note = (name: string) => ({ onGap: ({ resumes_at }: { resumes_at: string | null }) => gaps.push(`${name} ${resumes_at}`) });
    const fast = join(s, "a", note("fast"));
    await tick();
    s.last.open("e-9").message("e-10", 10, { channel: "a" });
    await tick();
    const slow = join(s, ["a", "b"], { lastEventId: "e-2", ...note("slow") });
    await tick();
    s.last.open("e-2");
    await settle();
    s.last.open("e-2").gap("e-2", "e-2", "e-6", "a").message("e-6", 6, { channel: "a" }).message("e-10", 10, { channel: "a" });
    await tick();
    expect(gaps).toEqual(["slow e-6"]);
    expect(fast.sub.getSnapshot().position).toBe("e-10");
    s.last.gap("e-10", "e-10", "e-12", "a").gap("e-10", "e-10", "e-12", "c").message("e-12", 12, { channel: "a" });
    await tick();
    expect(gaps).toEqual(["slow e-6", "fast e-12", "slow e-12"]);
    expect([fast.got, slow.got]).toEqual([
      [10, 12],
      [6, 10, 12],
    ]);
  });

  test("of whom one has had a part of what a message stands for: that one reads the rest by itself", async () => {
    const s = server();
    const fast = join(s, "a", { lastEventId: "e-5" });
    const slow = join(s, ["a", "b"], { lastEventId: "e-2" });
    const other = join(s, "b", { lastEventId: "e-4" });
    await tick();
    const together = s.last;
    expect(together.lastEventId).toBe("e-2");
    together.open("e-2").message("e-7", "3 4 5 6 7", { channel: "a", first_id: "e-3" }).message("e-8", "8", { channel: "a" });
    await tick();
    expect(together.left).toBe(false);
    expect(s.last.query("channel")).toEqual(["a"]);
    expect(s.last.lastEventId).toBe("e-5");
    s.last.open("e-5").message("e-7", "6 7", { channel: "a", first_id: "e-6" }).message("e-8", "8", { channel: "a" });
    together.message("e-10", "9 10", { channel: "b", first_id: "e-9" });
    await tick();
    expect([fast.got, slow.got, other.got]).toEqual([["6 7", "8"], ["3 4 5 6 7", "8", "9 10"], ["9 10"]]);
    await settle();
    expect(alive(s)).toHaveLength(2);
  });

  test("a status or a gap at the start does not move the position of who is ahead back", async () => {
    const s = server();
    const done: (() => void)[] = [];
    const fast = join(s, "a", { onMessage: () => new Promise<void>((resolve) => done.push(resolve)) });
    await tick();
    s.last.open("e-9").message("e-10", 10, { channel: "a" });
    await tick();
    join(s, "b", { lastEventId: "e-2" });
    await tick();
    s.last.open("e-2");
    await settle();
    s.last.open("e-2").run("e-11", { status: "running" }, { channel: "a", at: "e-2" }).gap("e-2", "e-2", null, "a");
    s.last.message("e-12", 12, { channel: "a" });
    await tick();
    done[0]!();
    await tick();
    expect(done).toHaveLength(2);
    expect(fast.sub.getSnapshot()).toMatchObject({ position: "e-10", run: { status: "running" }, last: { data: 12 } });
  });

  test("a gap of a pattern concerns all whose channels it covers", async () => {
    const s = server();
    const one = join(s, "p:1");
    const all = join(s, "p:*");
    const other = join(s, "q");
    await tick();
    s.last.open("e-1").gap("e-1", "e-1", "e-5", "p:*");
    await tick();
    expect([one, all, other].map(({ sub }) => sub.getSnapshot().gaps.length)).toEqual([1, 1, 0]);
  });
});

describe("positions that cannot be compared", () => {
  test("of another life of the log: each goes on by itself, until they can", async () => {
    const s = server();
    const a = join(s, "a");
    const b = join(s, "b");
    await tick();
    s.last.open("one-5");
    await tick();
    a.sub.pause();
    await settle();
    s.last.open("two-1").message("two-2", 2, { channel: "b" }); // the server has begun anew
    await settle();
    a.sub.resume();
    await tick();
    expect(alive(s).map((each) => [each.query("channel").join(), each.lastEventId])).toEqual([
      ["b", "one-5"],
      ["a", "one-5"],
    ]);
    s.last.open("two-0").gap("two-0", "one-5", null, "a", "restarted").message("two-1", 1, { channel: "a" });
    await settle();
    expect(alive(s).map((each) => [each.query("channel").join(), each.lastEventId])).toEqual([["b,a", "two-1"]]);
    s.last.open("two-1").message("two-2", 2, { channel: "b" }).message("two-3", 3, { channel: "a" });
    await tick();
    expect([a.got, b.got]).toEqual([[1, 3], [2]]);
    expect(a.sub.getSnapshot().gaps).toHaveLength(1);
    expect(b.sub.getSnapshot().gaps).toHaveLength(0);
  });

  test("of another form: they stay apart", async () => {
    const s = server();
    join(s, "a");
    await tick();
    s.last.open("opaque");
    await tick();
    join(s, "b");
    await tick();
    s.last.open("opaque2");
    await settle();
    expect(alive(s)).toHaveLength(2);
  });
});

describe("members that leave", () => {
  test("make the connection smaller when things have settled, and end it with the last", async () => {
    const s = server();
    const a = join(s, "a");
    const b = join(s, "b");
    await tick();
    s.last.open("e-1");
    await settle();
    expect(s.requests).toHaveLength(1);
    a.sub.close();
    s.last.message("e-2", 2, { channel: "a" }).message("e-3", 3, { channel: "b" });
    await tick();
    expect([a.got, b.got]).toEqual([[], [3]]);
    expect(s.requests).toHaveLength(1);
    await settle();
    expect(s.last.query("channel")).toEqual(["b"]);
    expect(s.last.lastEventId).toBe("e-3");
    expect(alive(s)).toHaveLength(1);
    b.sub.close();
    await tick(60_000);
    expect(alive(s)).toHaveLength(0);
    expect(s.requests).toHaveLength(2);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("in a handler of another get nothing more", async () => {
    const s = server();
    const got: string[] = [];
    const note = (name: string) => (message: Message) => {
      got.push(`${name} ${message.id}`);
      if (message.id === "e-1") {
        b.sub.close();
        c.sub.pause();
      }
    };
    join(s, "c", { onMessage: note("a") });
    const b = join(s, "c", { onMessage: note("b") });
    const c = join(s, "c", { onMessage: note("c") });
    await tick();
    s.last.open().message("e-1", 1).message("e-2", 2);
    await tick();
    expect(got).toEqual(["a e-1", "a e-2"]);
    c.sub.resume();
    await tick();
    expect(s.last.lastEventId).toBe("e-0");
    s.last.open("e-0").message("e-1", 1);
    await tick();
    expect(got.at(-1)).toBe("c e-1");
  });

  test("and come back while others were made still share with them", async () => {
    const s = server();
    const a = join(s, "a");
    await tick();
    s.last.open("e-1");
    await tick();
    a.sub.pause();
    join(s, "b");
    await tick();
    s.last.open("e-2");
    await settle();
    a.sub.resume();
    await tick();
    s.last.open("e-1");
    await settle();
    expect(alive(s).map((each) => each.query("channel"))).toEqual([["b", "a"]]);
  });

  test("pause: the others stay connected", async () => {
    const s = server();
    const a = join(s, "a");
    const b = join(s, "b");
    await tick();
    s.last.open("e-1");
    await tick();
    a.sub.pause();
    s.last.message("e-2", 2, { channel: "a" }).message("e-3", 3, { channel: "b" });
    await tick();
    expect([a.got, b.got]).toEqual([[], [3]]);
    expect(b.sub.getSnapshot().status).toBe("open");
    a.sub.resume();
    await tick();
    expect(s.last.lastEventId).toBe("e-1");
    s.last.open("e-1").message("e-2", 2, { channel: "a" });
    await tick();
    expect(a.got).toEqual([2]);
  });
});

test("channels whose names do not fit into one address stay on several connections", async () => {
  const s = server();
  const long = (letter: string): string => letter.repeat(200);
  for (let i = 0; i < 30; i++) {
    join(s, long(String.fromCharCode(97 + (i % 26)) + i));
    await tick();
    s.last.open("e-1");
  }
  await settle();
  for (const each of alive(s)) expect(each.url.href.length).toBeLessThan(8000);
  expect(new Set(alive(s).flatMap((each) => each.query("channel"))).size).toBe(30);
});
