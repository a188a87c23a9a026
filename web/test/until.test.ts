// Subscriptions that the server ends with the run.

import { subscribe, type Message, type SubscribeOptions } from "../src/index.js";
import type { Pool } from "../src/pool.js";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { server, tick } from "./support/server.js";

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0);
});
afterEach(() => {
  vi.useRealTimers();
});

/** Subscribes until the end of the run, and collects what a loop is given. */
function collect(options: SubscribeOptions<string, string> = {}) {
  const s = server();
  const sub = subscribe<string, string>({ url: "http://sluice", channel: "c", fetch: s.fetch, until: "end", ...options });
  const state = { got: [] as unknown[], ended: false };
  void (async () => {
    try {
      for await (const message of sub) state.got.push((message as Extract<Message, { kind: "data" }>).data);
      state.ended = true;
    } catch {
      // in the snapshot
    }
  })();
  return { s, sub, state };
}

describe("until the end", () => {
  test("the server is asked for it, and a loop ends with all that came before", async () => {
    const { s, sub, state } = collect({ replay: "all" });
    await tick();
    expect([s.last.query("until"), s.last.query("replay")]).toEqual([["end"], ["all"]]);
    s.last.open().together((exchange) => {
      for (const n of [1, 2, 3]) exchange.message(`e-${n}`, n);
      exchange.run("e-4", { status: "completed", result: 7 });
    });
    s.last.close(4000, "run_ended", { reconnect: false }, "e-4");
    await tick();
    expect(state).toEqual({ got: [1, 2, 3], ended: true });
    expect(sub.getSnapshot()).toMatchObject({ status: "closed", error: null, run: { status: "completed", result: 7 }, position: "e-4" });
    await tick(60_000);
    expect(s.requests).toHaveLength(1);
  });

  test("asked again after the end, it is over at once", async () => {
    const { s, sub, state } = collect({ lastEventId: "e-4" });
    await tick();
    expect([s.last.query("until"), s.last.lastEventId]).toEqual([["end"], "e-4"]);
    s.last.respond(new Response(null, { status: 204 }));
    await tick();
    expect(state).toEqual({ got: [], ended: true });
    expect(sub.getSnapshot()).toMatchObject({ status: "closed", error: null });
    await tick(60_000);
    expect(s.requests).toHaveLength(1);
  });

  test("a connection that is lost before is made again", async () => {
    const { s, state } = collect();
    await tick();
    s.last.open().message("e-1", 1);
    await tick();
    s.last.break();
    await tick(1000);
    expect([s.requests.length, s.last.query("until"), s.last.lastEventId]).toEqual([2, ["end"], "e-1"]);
    s.last.respond(new Response(null, { status: 204 }));
    await tick();
    expect(state).toEqual({ got: [1], ended: true });
  });

  test("another end is an error", async () => {
    const { s, sub, state } = collect();
    await tick();
    s.last.open().close(4403, "disconnected");
    await tick();
    expect(state.ended).toBe(false);
    expect(sub.getSnapshot()).toMatchObject({ status: "closed", error: { code: 4403 } });
  });

  test("it has its own connection, whatever else is subscribed to", async () => {
    const s = server();
    const shareTabs = vi.fn<(pool: Pool) => Pool>((pool) => pool);
    const both = [{ until: "end" } as const, { shareTabs }].map((options) =>
      subscribe<string, string>({ url: "http://sluice", channel: "c", fetch: s.fetch, onMessage: () => undefined, ...options }),
    );
    await tick();
    for (const exchange of s.requests) exchange.open();
    await tick(5000);
    expect(s.requests.map((exchange) => exchange.query("until"))).toEqual([["end"], []]);
    both[1]!.close();
    const alone = subscribe<string, string>({ url: "http://sluice", channel: "d", fetch: s.fetch, until: "end", shareTabs });
    await tick();
    expect(shareTabs).toHaveBeenCalledOnce();
    for (const each of [...both, alone]) each.close();
  });

  test.each([{ channel: "c:*" }, { channel: undefined, channels: ["c", "d"] }])("is of one channel: %j", (options) => {
    expect(() => collect(options)).toThrow(TypeError);
  });
});
