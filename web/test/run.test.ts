import { type Message, type Run } from "../src/index.js";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { follow, iterable, type Follower, type Options } from "./support/follow.js";
import { server, tick } from "./support/server.js";

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0);
});
afterEach(() => {
  vi.useRealTimers();
});

function followRun(options: Options = {}): Follower & { s: ReturnType<typeof server>; runs: Run[] } {
  const s = server();
  const runs: Run[] = [];
  return { s, runs, ...follow(s, { onRun: (run) => runs.push(run), ...options }) };
}

describe("the run of a channel", () => {
  test("is told, and stands in the snapshot", async () => {
    const seen: unknown[] = [];
    const { s, sub } = followRun({ onRun: (run, message) => seen.push([run, message.channel, message.id]) });
    await tick();
    s.last.open().run("e-1", { status: "running", run_id: "42" }, { run_id: "42" });
    s.last.run("e-2", { status: "completed", run_id: "42", result: { rows: 3 } }, { run_id: "42" });
    await tick();
    const done = { status: "completed", run_id: "42", result: { rows: 3 } };
    expect(seen).toEqual([
      [{ status: "running", run_id: "42" }, "c", "e-1"],
      [done, "c", "e-2"],
    ]);
    expect(sub.getSnapshot()).toMatchObject({ run: done, last: null, status: "open", position: "e-2" });
    sub.close();
  });

  test("is told once, though it comes with each new connection", async () => {
    const { s, sub, runs } = followRun();
    await tick();
    s.last.open("e-9").run("e-4", { status: "running" }, { at: "e-9" });
    await tick();
    s.last.break();
    await tick();
    expect(s.last.lastEventId).toBe("e-9");
    s.last.open("e-9").run("e-4", { status: "running" }, { at: "e-9" }).run("e-10", { status: "failed", error: "why" });
    await tick();
    s.last.break();
    await tick();
    s.last.open("e-10").run("e-10", { status: "failed", error: "why" }, { at: "e-10" });
    await tick();
    expect(runs.map(({ status }) => status)).toEqual(["running", "failed"]);
    sub.close();
  });

  test("begins anew with a new run id", async () => {
    const { s, sub, runs } = followRun();
    await tick();
    s.last.open().run("e-1", { status: "completed", run_id: "1" }).run("e-2", { status: "running", run_id: "2" });
    await tick();
    expect(runs).toEqual([
      { status: "completed", run_id: "1" },
      { status: "running", run_id: "2" },
    ]);
    expect(sub.getSnapshot().run).toEqual({ status: "running", run_id: "2" });
    sub.close();
  });

  test("comes whatever the topics are", async () => {
    const { s, sub, runs } = followRun({ topics: ["t"] });
    await tick();
    s.last.open().run("e-1", { status: "running" });
    await tick();
    expect(runs).toHaveLength(1);
    sub.close();
  });

  test("each channel has its own", async () => {
    const { s, sub, runs } = followRun({ channel: undefined, channels: ["a", "b"] });
    await tick();
    s.last.open("e-9").run("e-5", { status: "running", run_id: "a" }, { channel: "a", at: "e-9" });
    s.last.run("e-4", { status: "running", run_id: "b" }, { channel: "b", at: "e-9" });
    await tick();
    expect(runs.map(({ run_id }) => run_id)).toEqual(["a", "b"]);
    sub.close();
  });

  test("its older status does not move the position back", async () => {
    const { s, sub } = followRun();
    await tick();
    s.last.open("e-7").run("e-4", { status: "failed" }, { at: "e-7" });
    await tick();
    expect(sub.getSnapshot().position).toBe("e-7");
    sub.close();
  });
});

describe("autoCloseOnTerminal", () => {
  const auto = { autoCloseOnTerminal: true };

  test.each(["completed", "failed", "cancelled"])("closes when a run is %s", async (status) => {
    const { s, sub, got, runs } = followRun(auto);
    await tick();
    s.last.open().message("e-1", 1).run("e-2", { status });
    await tick();
    expect(sub.getSnapshot()).toMatchObject({ status: "closed", error: null, run: { status }, position: "e-2" });
    expect([got, runs.length]).toEqual([[1], 1]);
    expect(s.last.left).toBe(true);
    await tick(60_000);
    expect(s.requests).toHaveLength(1);
  });

  test("does not close while it runs, or without the option", async () => {
    const { s, sub } = followRun(auto);
    await tick();
    s.last.open().run("e-1", { status: "running" }).heartbeat();
    await tick();
    expect(sub.getSnapshot().status).toBe("open");
    sub.close();
    const other = followRun();
    await tick();
    other.s.last.open().run("e-1", { status: "completed" }).heartbeat();
    await tick();
    expect(other.sub.getSnapshot().status).toBe("open");
    other.sub.close();
  });

  test("loses nothing of the replay of a run that has ended: the status comes before it", async () => {
    const { s, sub, got } = followRun({ ...auto, replay: "all" });
    await tick();
    s.last.open("e-0").run("e-9", { status: "completed" }, { at: "e-0" });
    await tick();
    expect(sub.getSnapshot()).toMatchObject({ status: "open", run: { status: "completed" } });
    s.last.message("e-1", 1).message("e-2", 2);
    await tick();
    expect(sub.getSnapshot().status).toBe("open");
    s.last.break();
    await tick();
    expect(s.last.lastEventId).toBe("e-2");
    s.last.open("e-2").message("e-8", 8).run("e-9", { status: "completed" });
    await tick();
    expect(got).toEqual([1, 2, 8]);
    expect(sub.getSnapshot().status).toBe("closed");
  });

  test.each([
    ["a message after the run's end", (s: ReturnType<typeof server>) => s.last.message("e-10", 10), [8, 10]],
    ["a heartbeat", (s: ReturnType<typeof server>) => s.last.heartbeat(), [8]],
    ["a move of the position", (s: ReturnType<typeof server>) => s.last.event("$position", {}, "e-11"), [8]],
    ["the end of the replay", (s: ReturnType<typeof server>) => s.last.event("$live", {}, "e-8"), [8]],
  ])("has caught up with %s", async (_, send, all) => {
    const { s, sub, got } = followRun({ ...auto, replay: "all" });
    await tick();
    s.last.open("e-0").run("e-9", { status: "completed" }, { at: "e-0" }).message("e-8", 8);
    await tick();
    expect(sub.getSnapshot().status).toBe("open");
    send(s);
    await tick();
    expect(got).toEqual(all);
    expect(sub.getSnapshot().status).toBe("closed");
  });

  test.each([
    ["a heartbeat", (s: ReturnType<typeof server>) => s.last.heartbeat()],
    ["a move of the position", (s: ReturnType<typeof server>) => s.last.event("$position", {}, "0199:f")],
    ["the end of the replay", (s: ReturnType<typeof server>) => s.last.event("$live", {}, "0199:c")],
  ])("has caught up with %s, also where positions cannot be compared", async (_, send) => {
    const { s, sub, got } = followRun({ ...auto, replay: "all" });
    await tick();
    s.last.open("0199:a").run("0199:e", { status: "completed" }, { at: "0199:a" }).message("0199:d", 1);
    await tick();
    expect(sub.getSnapshot().status).toBe("open");
    send(s);
    await tick();
    expect([got, sub.getSnapshot().status]).toEqual([[1], "closed"]);
  });

  test("closes at once when the run ended before the stream's start", async () => {
    const { s, sub } = followRun(auto);
    await tick();
    s.last.open("e-20").run("e-9", { status: "completed" }, { at: "e-20" });
    await tick();
    expect(sub.getSnapshot()).toMatchObject({ status: "closed", run: { status: "completed" } });
  });

  test("waits until everything was handed over", async () => {
    const done: (() => void)[] = [];
    const ids: string[] = [];
    const { s, sub } = followRun({
      ...auto,
      onMessage: ({ id }) => {
        ids.push(id);
        return new Promise<void>((resolve) => done.push(resolve));
      },
    });
    await tick();
    s.last.open().message("e-1", 1).message("e-2", 2).run("e-3", { status: "completed" }).message("e-4", 4);
    await tick();
    for (let i = 0; i < 3; i++) {
      expect(sub.getSnapshot().status).toBe("open");
      done[i]!();
      await tick();
    }
    expect(ids).toEqual(["e-1", "e-2", "e-4"]);
    expect(sub.getSnapshot()).toMatchObject({ status: "closed", position: "e-4" });
  });

  test("ends an iteration after the last message", async () => {
    const s = server();
    const sub = iterable(s, auto);
    const got: unknown[] = [];
    let ended = false;
    void (async () => {
      for await (const message of sub) got.push(message.id);
      ended = true;
    })();
    await tick();
    s.last.open().message("e-1", 1).run("e-2", { status: "completed" });
    await tick();
    expect([got, ended, sub.getSnapshot().status]).toEqual([["e-1"], true, "closed"]);
  });

  test("does not end an iteration whose messages still wait", async () => {
    const s = server();
    const sub = iterable(s, auto);
    await tick();
    s.last.open().message("e-1", 1).message("e-2", 2).run("e-3", { status: "completed" }).heartbeat();
    await tick();
    expect(sub.getSnapshot().status).toBe("open");
    const got: Message[] = [];
    for await (const message of sub) got.push(message);
    expect(got.map(({ id }) => id)).toEqual(["e-1", "e-2"]);
  });

  test("a new run in time keeps it open", async () => {
    const { s, sub } = followRun({ ...auto, replay: "all" });
    await tick();
    s.last.open("e-0").run("e-9", { status: "completed" }, { at: "e-0" }).message("e-8", 8).run("e-10", { status: "running", run_id: "2" });
    await tick();
    s.last.heartbeat();
    await tick();
    expect(sub.getSnapshot()).toMatchObject({ status: "open", run: { status: "running" } });
    sub.close();
  });

  test.each([
    ["several channels", { channel: undefined, channels: ["c", "d"] }],
    ["a pattern", { channel: "c*" }],
  ])("is not for %s, of which others go on", async (_, options) => {
    const { s, sub } = followRun({ ...auto, ...options });
    await tick();
    s.last.open().run("e-1", { status: "completed" }).heartbeat();
    await tick();
    expect(sub.getSnapshot().status).toBe("open");
    sub.close();
  });

  test("is for the one channel that the token names", async () => {
    const { s, sub } = followRun({ ...auto, channel: undefined });
    await tick();
    s.last.open().run("e-1", { status: "completed" });
    await tick();
    expect(sub.getSnapshot().status).toBe("closed");
  });
});
