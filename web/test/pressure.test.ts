// Readers that are slower than what arrives: nothing is read that has no room, and the server keeps it.

import type { Message } from "../src/index.js";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { follow, iterable, type Options } from "./support/follow.js";
import { server, tick, type Exchange, type Server } from "./support/server.js";
import { alive, closeAll, join, settle } from "./support/share.js";

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0);
});
afterEach(() => {
  closeAll();
  vi.useRealTimers();
});

const numbers = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** Sends messages, each in a piece of its own. */
function burst(exchange: Exchange, from: number, to: number, fields: object = {}, data = (n: number): unknown => n): void {
  for (const n of numbers(from, to)) exchange.message(`e-${n}`, data(n), fields);
}

/** A handler that takes one message when it is told to, and what it has got. */
function stepper() {
  const got: string[] = [];
  let go: (() => void) | undefined;
  return {
    got,
    onMessage: ({ id }: Message) => {
      got.push(id);
      return new Promise<void>((resolve) => (go = resolve));
    },
    async take(count = 1) {
      for (let i = 0; i < count; i++) {
        go?.();
        await tick();
      }
    },
  };
}

/** A reader that takes some time for each message, in one of the ways there are to read. */
function slow(s: Server, way: string, ms: number): { got: unknown[]; close(): void } {
  const got: unknown[] = [];
  const take = async (message: Message): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve, ms));
    got.push(message.kind === "data" && message.data);
  };
  const options: Options = { heartbeatMs: 0, ...(way === "onMessage" && { onMessage: take }) };
  const sub = iterable(s, options);
  if (way === "iteration") {
    void (async () => {
      for await (const message of sub) await take(message);
    })();
  }
  return { got, close: sub.close };
}

describe("a reader that is slower than a burst", () => {
  test.each(["iteration", "onMessage"])("gets all of it over the one connection: %s", async (way) => {
    const s = server();
    const { got, close } = slow(s, way, 50);
    await tick();
    burst(s.last.open(), 1, 3000);
    await tick(1000);
    expect(s.last.unread).toBeGreaterThan(1900);
    await tick(50 * 3000);
    expect(got).toEqual(numbers(1, 3000));
    expect(s.requests).toHaveLength(1);
    expect(s.last.left).toBe(false);
    close();
  });

  test("has 1024 waiting, or 1 Mi units of JSON, and the rest is not read", async () => {
    const s = server();
    const { sub } = follow(s, { onMessage: () => new Promise(() => undefined) });
    await tick();
    burst(s.last.open(), 1, 1500);
    await tick();
    expect(s.last.unread).toBeGreaterThan(470);
    expect(s.last.unread).toBeLessThan(480);
    sub.close();
    const large = follow(s, { token: "another", onMessage: () => new Promise(() => undefined) });
    await tick();
    burst(s.last.open(), 1, 40, {}, () => "x".repeat(60_000));
    await tick();
    expect(s.last.unread).toBeGreaterThan(20);
    expect(s.last.unread).toBeLessThan(24);
    large.sub.close();
  });

  test("that left comes back when it has taken everything, however long the last message was", async () => {
    const s = server();
    const { got, onMessage, take } = stepper();
    const { sub } = follow(s, { onMessage });
    await tick();
    burst(s.last.open(), 1, 4, {}, () => "x".repeat(400_000));
    await tick(10_000);
    expect(s.last.left).toBe(true);
    await take(4);
    expect(s.requests).toHaveLength(2);
    burst(s.last.open(s.last.lastEventId!), 4, 4);
    await tick();
    await take();
    expect(got).toEqual(["e-1", "e-2", "e-3", "e-4"]);
    sub.close();
  });

  test("that takes nothing for ten seconds leaves, and goes on from there when it has room", async () => {
    const s = server();
    const { got, onMessage, take } = stepper();
    const { sub } = follow(s, { onMessage });
    await tick();
    burst(s.last.open(), 1, 1500);
    await tick(9000);
    await take(); // that counts anew
    await tick(9999);
    expect(s.last.left).toBe(false);
    await tick(1);
    expect(s.last.left).toBe(true);
    expect(sub.getSnapshot().status).toBe("connecting");
    await tick(60_000);
    expect(s.requests).toHaveLength(1);
    await take(700);
    expect(s.requests).toHaveLength(1);
    await take(100);
    expect(s.requests).toHaveLength(2);
    const from = Number(s.last.lastEventId!.slice(2));
    expect(from).toBeLessThan(1040);
    burst(s.last.open(s.last.lastEventId!), from + 1, 1500);
    await tick();
    await take(1500);
    expect(got).toEqual(numbers(1, 1500).map((n) => `e-${n}`));
    sub.close();
  });

  test("that holds the connection up is not silence of the server", async () => {
    const s = server();
    const { got, onMessage, take } = stepper();
    const { sub } = follow(s, { onMessage, heartbeatMs: 1000 });
    await tick();
    burst(s.last.open(), 1, 1100);
    for (let i = 0; i < 20; i++) {
      await tick(5000);
      await take();
    }
    expect(s.requests).toHaveLength(1);
    await take(100);
    expect(s.last.unread).toBeLessThanOrEqual(1);
    await tick(2500);
    await tick(1);
    expect(s.requests).toHaveLength(2); // now it is
    expect(got.length).toBeGreaterThan(100);
    sub.close();
  });

  test("can be closed, paused and made to come anew meanwhile", async () => {
    const s = server();
    const { onMessage } = stepper();
    const { sub } = follow(s, { onMessage });
    await tick();
    burst(s.last.open(), 1, 1100);
    await tick();
    sub.pause();
    await tick();
    expect(s.last.left).toBe(true);
    sub.resume();
    await tick();
    expect(s.requests).toHaveLength(2);
    burst(s.last.open(s.last.lastEventId!), 1200, 1210);
    await tick();
    sub.close();
    await tick();
    expect(s.last.left).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("that reads a text is not held up by what waits behind it", async () => {
    const s = server();
    const sub = iterable(s);
    let text = "";
    void (async () => {
      for await (const message of sub) if (message.kind === "stream") for await (const piece of message.chunks) text += piece;
    })();
    await tick();
    s.last.open().message("e-1", {}, { kind: "datastream-start", stream_id: "s" });
    burst(s.last, 2, 2000);
    s.last.message("e-2001", "all", { kind: "chunk", stream_id: "s" });
    s.last.message("e-2002", { reason: "complete" }, { kind: "datastream-end", stream_id: "s" });
    await tick();
    await tick();
    expect(text).toBe("all");
    expect(sub.getSnapshot().position).toBe("e-2002");
    sub.close();
  });
});

describe("members of one connection", () => {
  test("a slow one loses nothing, and the others do not wait for it", async () => {
    const s = server();
    const { got, onMessage, take } = stepper();
    join(s, "c", { onMessage });
    const quick = join(s, "c");
    await tick();
    burst(s.last.open(), 1, 5000);
    await tick();
    expect(quick.got).toEqual(numbers(1, 5000));
    await take(5000);
    expect(got).toEqual(numbers(1, 5000).map((n) => `e-${n}`));
    expect(s.requests).toHaveLength(1);
  });

  test("one that is sixteen times too far behind gets a connection of its own, for good", async () => {
    const s = server();
    const { onMessage, take } = stepper();
    const late = join(s, "c", { onMessage });
    const quick = join(s, "c");
    await tick();
    burst(s.last.open(), 1, 17_000);
    await tick();
    expect(quick.got).toHaveLength(17_000);
    expect(s.requests).toHaveLength(2);
    const from = Number(s.last.lastEventId!.slice(2));
    expect(from).toBeGreaterThanOrEqual(16_384);
    s.last.open(s.last.lastEventId!).message(`e-${from + 1}`, 1);
    await settle();
    await settle();
    expect(alive(s).length).toBe(2);
    await take(10);
    expect(late.sub.getSnapshot().status).toBe("open");
  });

  test("when none has room nothing is read; one that takes nothing leaves, and the others go on", async () => {
    const s = server();
    const stuck = join(s, "c", { onMessage: () => new Promise(() => undefined) });
    const { got, onMessage, take } = stepper();
    join(s, "c", { onMessage });
    await tick();
    burst(s.last.open(), 1, 3000);
    await tick();
    expect(s.last.unread).toBeGreaterThan(1900);
    await take(3000);
    expect(got).toEqual(numbers(1, 3000).map((n) => `e-${n}`));
    expect(stuck.sub.getSnapshot().status).toBe("open");
    expect(s.requests).toHaveLength(1);
  });

  test("a connection that is held up is not given up for a common one", async () => {
    const s = server();
    const { onMessage, take } = stepper();
    join(s, "c", { onMessage });
    await tick();
    const first = s.last;
    burst(first.open(), 1, 1500);
    await tick();
    join(s, "d");
    await tick();
    s.last.open("e-2000");
    for (let i = 0; i < 5; i++) {
      await settle();
      await take();
    }
    expect(first.left).toBe(false);
    await take(600);
    await settle();
    expect(s.requests).toHaveLength(3); // now it is
    expect(alive(s)).toHaveLength(1);
    expect(s.last.lastEventId).toBe("e-1500");
  });
});
