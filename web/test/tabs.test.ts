// Tabs that share a connection, in one process: a bus and locks that are real enough for the rules.

import type { Message } from "../src/index.js";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { server, tick, type Server } from "./support/server.js";

/** The Web Locks of one browser. */
function browserLocks() {
  const held = new Map<string, (() => void)[]>();
  const next = (name: string): void => {
    const [, ...waiting] = held.get(name) ?? [];
    if (waiting.length) held.set(name, waiting);
    else held.delete(name);
    waiting[0]?.();
  };
  return {
    request(name: string, { signal }: { signal: AbortSignal }, work: () => unknown): Promise<void> {
      return new Promise((resolve, reject) => {
        const run = (): void => void Promise.resolve(work()).finally(() => (next(name), resolve()));
        const queue = held.get(name) ?? [];
        held.set(name, [...queue, run]);
        signal.addEventListener("abort", () => {
          const waiting = held.get(name) ?? [];
          if (waiting.indexOf(run) > 0)
            held.set(
              name,
              waiting.filter((each) => each !== run),
            );
          reject(new Error("left"));
        });
        if (!queue.length) run();
      });
    },
  };
}

/** A BroadcastChannel that clones what is sent, and delivers it a little later. */
function browserBus() {
  interface Port {
    readonly name: string;
    onmessage?: (event: { data: unknown }) => void;
  }
  const all = new Set<Port>();
  const queue: (() => void)[] = [];
  const deliver = (): void => {
    for (const each of queue.splice(0)) each();
  };
  return class {
    onmessage?: (event: { data: unknown }) => void;
    constructor(readonly name: string) {
      all.add(this);
    }
    postMessage(data: unknown): void {
      const copy: unknown = structuredClone(data);
      for (const other of all) {
        if (other === this || other.name !== this.name) continue;
        if (queue.push(() => all.has(other) && other.onmessage?.({ data: copy })) === 1) setTimeout(deliver);
      }
    }
    close(): void {
      all.delete(this);
    }
  };
}

type Module = typeof import("../src/index.js") & typeof import("../src/tabs.js");

/** One more tab: with modules of its own. */
async function openTab(): Promise<Module> {
  vi.resetModules();
  return { ...(await import("../src/index.js")), ...(await import("../src/tabs.js")) };
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0);
  vi.stubGlobal("navigator", { locks: browserLocks() });
  vi.stubGlobal("BroadcastChannel", browserBus());
});
afterEach(() => {
  vi.useRealTimers();
});

const numbers = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

async function follow({ subscribe, tabs }: Module, s: Server, options: object = {}) {
  const got: unknown[] = [];
  const sub = subscribe<string, string>({
    ...{ url: "http://sluice", channel: "c", token: "t", fetch: s.fetch, heartbeatMs: 0, shareTabs: tabs("u") },
    onMessage: (message: Message) => void got.push(message.kind === "data" && message.data),
    ...options,
  });
  await tick(50);
  return { sub, got };
}

/** A server that opens each stream where it is asked to go on. */
const opening = (): Server => server((exchange) => exchange.open(exchange.lastEventId ?? "e-0"));

/** Follows in two tabs, of which the first leads. */
async function two(s: Server, options: object = {}, leading: object = {}) {
  const leader = await follow(await openTab(), s, leading);
  const guest = await follow(await openTab(), s, options);
  await tick(1100);
  await tick(50);
  const streams = s.requests.filter(({ left }) => !left);
  expect(streams).toHaveLength(1);
  return { leader, guest, stream: streams[0]! };
}

describe("tabs that share", () => {
  test("get the same over one connection", async () => {
    const s = opening();
    const { leader, guest, stream } = await two(s);
    for (const n of numbers(1, 10)) stream.message(`e-${n}`, n);
    await tick(50);
    expect([leader.got, guest.got]).toEqual([numbers(1, 10), numbers(1, 10)]);
    leader.sub.close();
    guest.sub.close();
  });

  test("get what comes out of order once each", async () => {
    const s = opening();
    const { leader, guest, stream } = await two(s);
    stream.message("e-1", 1).message("e-4", 4).outOfOrder("e-4", "e-2", 2).outOfOrder("e-4", "e-3", 3).message("e-5", 5);
    await tick(50);
    expect([leader.got, guest.got]).toEqual([
      [1, 4, 2, 3, 5],
      [1, 4, 2, 3, 5],
    ]);
    expect(guest.sub.getSnapshot().position).toBe("e-5");
    leader.sub.close();
    guest.sub.close();
  });

  test("a slow one loses nothing, and the leader does not wait for it", async () => {
    const s = opening();
    const slow: unknown[] = [];
    const { leader, guest, stream } = await two(s, {
      onMessage: async (message: Message) => {
        await new Promise((resolve) => setTimeout(resolve, 5));
        slow.push(message.kind === "data" && message.data);
      },
    });
    for (const n of numbers(1, 3000)) stream.message(`e-${n}`, n);
    await tick(100);
    expect(leader.got).toEqual(numbers(1, 3000));
    await tick(20_000);
    expect(slow).toEqual(numbers(1, 3000));
    leader.sub.close();
    guest.sub.close();
  });

  test("when none has room the leader reads nothing more", async () => {
    const s = opening();
    const takes: (() => void)[] = [];
    const stuck = { onMessage: () => new Promise<void>((resolve) => takes.push(resolve)) };
    const { leader, guest, stream } = await two(s, stuck, stuck);
    for (let n = 1; n <= 4000; n += 100) {
      for (const each of numbers(n, n + 99)) stream.message(`e-${each}`, each);
      await tick(5);
    }
    expect(stream.unread).toBeGreaterThan(2000);
    await tick(9000);
    expect(stream.left).toBe(false);
    await tick(1100);
    expect(stream.left).toBe(true); // nothing was taken for ten seconds; the guest leads now, and has ten of its own
    await tick(11_000);
    expect(s.requests.every(({ left }) => left)).toBe(true);
    for (let i = 0; i < 4200; i++) {
      for (const take of takes.splice(0)) take();
      await tick();
    }
    await tick(50);
    expect(s.requests.some(({ left }) => !left)).toBe(true);
    leader.sub.close();
    guest.sub.close();
  });

  test("one whose parse makes what another tab cannot be given reads by itself", async () => {
    const s = opening();
    const parse = (json: string): unknown => ({ ...(JSON.parse(json) as object), data: () => 1 });
    const { leader: first, guest: second, stream } = await two(s, { parse }, { parse });
    stream.message("e-1", 1);
    await tick(50);
    const streams = s.requests.filter(({ left }) => !left);
    expect(streams.map(({ lastEventId }) => lastEventId)).toContain("e-0"); // the guest's own
    for (const each of streams) if (each !== stream) each.message("e-1", 1);
    await tick(50);
    expect([first.got.length, second.got.length]).toEqual([1, 1]);
    first.sub.close();
    second.sub.close();
  });

  test("one that is never let in connects by itself, also where heartbeats are not seen", async () => {
    vi.stubGlobal("navigator", { locks: { request: () => new Promise(() => undefined) } });
    const s = opening();
    const { sub } = await follow(await openTab(), s);
    expect(s.requests).toHaveLength(0);
    await tick(37_500);
    expect(s.requests).toHaveLength(1);
    s.last.open();
    await tick();
    expect(sub.getSnapshot().status).toBe("open");
    sub.close();
  });
});
