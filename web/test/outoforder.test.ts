// Messages that a node missed and repaired: a stream of several channels gets them under its own position.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Message } from "../src/index.js";
import { follow } from "./support/follow.js";
import { server, tick } from "./support/server.js";
import { closeAll, join, settle } from "./support/share.js";

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0);
});
afterEach(() => {
  vi.useRealTimers();
  closeAll();
});

const a = { channel: "a" };
const b = { channel: "b" };
const both = { channel: undefined, channels: ["a", "b"] };

describe("a message out of order", () => {
  test("is handed over once, with its own id, and the position stays", async () => {
    const s = server();
    const { sub, got, messages } = follow(s, both);
    await tick();
    s.last.open("e-1").message("e-2", 2, a).message("e-5", 5, b).outOfOrder("e-5", "e-3", 3, a).outOfOrder("e-5", "e-4", 4, a);
    await tick();
    expect(got).toEqual([2, 5, 3, 4]);
    expect(messages.map(({ id }) => id)).toEqual(["e-2", "e-5", "e-3", "e-4"]);
    expect(sub.getSnapshot().position).toBe("e-5");
    s.last.break();
    await tick();
    expect(s.last.lastEventId).toBe("e-5");
    s.last.open("e-5").message("e-6", 6, a);
    await tick();
    expect(got).toEqual([2, 5, 3, 4, 6]);
    sub.close();
  });

  test("is handed over right after $open, and under an id that moves the position", async () => {
    const s = server();
    const { sub, got } = follow(s, { ...both, lastEventId: "e-5" });
    await tick();
    s.last.open("e-5").outOfOrder("e-7", "e-6", 6, a).outOfOrder("e-7", "e-6", 6, { channel: "elsewhere" });
    await tick();
    expect(got).toEqual([6]);
    expect(sub.getSnapshot().position).toBe("e-7");
    sub.close();
  });

  test("under a position of several shards is handed over, too", async () => {
    const s = server();
    const { sub, got } = follow(s, both);
    await tick();
    s.last.open("e:1:1").outOfOrder("e:1:2", "e.2-2", 1, a).outOfOrder("e:3:2", "e.1-3", 2, b).outOfOrder("e:3:2", "e.1-2", 3, a);
    await tick();
    expect(got).toEqual([1, 2, 3]);
    s.last.break();
    await tick();
    expect(s.last.lastEventId).toBe("e:3:2");
    sub.close();
  });

  test("may bring the status of a run, a piece of a text, or what cannot be read", async () => {
    const s = server();
    const invalid: unknown[] = [];
    const { sub, messages } = follow(s, { ...both, onInvalid: (_, message) => invalid.push(message.id), parse });
    await tick();
    const text = { ...a, stream_id: "s" };
    s.last
      .open("e-1")
      .message("e-2", "", { ...text, kind: "datastream-start" })
      .message("e-9", 9, b)
      .outOfOrder("e-9", "e-3", "late", { ...text, kind: "chunk" })
      .outOfOrder("e-9", "e-4", "bad", a)
      .run("e-5", { status: "completed" }, { ...a, at: "e-9" })
      .outOfOrder("e-9", "e-6", { reason: "complete" }, { ...text, kind: "datastream-end" });
    await tick();
    expect(messages.map(({ kind }) => kind)).toEqual(["stream", "data"]);
    const { byTopic, run, position } = sub.getSnapshot();
    expect(byTopic["t"]).toMatchObject({ kind: "stream", text: "late", state: "complete" });
    expect(run.status).toBe("completed");
    expect(invalid).toEqual(["e-4"]);
    expect(position).toBe("e-9");
    sub.close();
  });

  test("comes to each member that has not had it by another connection", async () => {
    const s = server();
    const ahead = join(s, ["a", "b"]);
    await tick();
    s.last.open("e-1").message("e-8", 8, b);
    const behind = join(s, ["a", "b"]);
    await tick();
    s.last.open("e-2");
    await settle();
    expect(s.last.lastEventId).toBe("e-2");
    s.last.open("e-2");
    // One that the node missed before e-8: whoever was given e-8 by another node was given this, too.
    s.last.message("e-6", 6, a).outOfOrder("e-6", "e-5", 5, a).message("e-8", 8, b).outOfOrder("e-8", "e-7", 7, a);
    // One after it, of which nobody has heard.
    s.last.message("e-10", 10, b).outOfOrder("e-10", "e-9", 9, a);
    await tick();
    expect(ahead.got).toEqual([8, 10, 9]);
    expect(behind.got).toEqual([6, 5, 8, 7, 10, 9]);
  });

  test("and a status that repeats one, are not taken for one another", async () => {
    const s = server();
    const runs: unknown[] = [];
    const { sub } = follow(s, { ...both, onRun: (run) => runs.push(run.status) });
    await tick();
    s.last
      .open("e-3")
      .run("e-2", { status: "running" }, { ...a, at: "e-3" })
      .run("e-2", { status: "running" }, { ...a, at: "e-3" });
    await tick();
    expect(runs).toEqual(["running"]);
    sub.close();
  });
});

function parse(json: string): unknown {
  const value = JSON.parse(json) as Message;
  if (value.kind === "data" && value.data === "bad") throw new Error("unreadable");
  return value;
}
