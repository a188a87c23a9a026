import { subscribe } from "../src/index.js";
import { after, atMost } from "../src/timer.js";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createServer } from "../src/server/index.js";
import { follow } from "./support/follow.js";
import { server, tick } from "./support/server.js";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const DAY = 24 * 3600 * 1000;

/** What a runtime does with a wait that it cannot tell: it does not wait. */
function asRuntimesDo(): void {
  const wait = globalThis.setTimeout;
  vi.stubGlobal("setTimeout", (work: () => void, ms: number) => wait(work, ms > 2 ** 31 - 1 ? 1 : ms));
}

describe("a wait", () => {
  test.each([1, 1000, 24 * DAY, 25 * DAY, 30 * DAY, 365 * DAY])("of %d ms is as long as that", async (ms) => {
    asRuntimesDo();
    const work = vi.fn();
    after(ms, work);
    await vi.advanceTimersByTimeAsync(ms - 1);
    expect(work).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(work).toHaveBeenCalledOnce();
    expect(vi.getTimerCount()).toBe(0);
  });

  test("without end does not end, and can be called off, as any", async () => {
    asRuntimesDo();
    const work = vi.fn();
    const stop = after(Infinity, work);
    const other = after(30 * DAY, work);
    await vi.advanceTimersByTimeAsync(29 * DAY);
    other();
    await vi.advanceTimersByTimeAsync(300 * DAY);
    expect(work).not.toHaveBeenCalled();
    stop();
    expect(vi.getTimerCount()).toBe(0);
  });

  test("for what comes leaves no timer", async () => {
    expect(await atMost(Infinity, Promise.resolve(1))).toBe(1);
    await expect(atMost(30 * DAY, Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe.each([30 * DAY, Infinity])("an option of %d ms", (ms) => {
  beforeEach(asRuntimesDo);

  test.each(["heartbeatMs", "tokenTimeoutMs"])("%s", async (option) => {
    const s = server();
    const { sub } = follow(s, { token: () => "t", heartbeatMs: 0, [option]: ms });
    await tick();
    s.last.open();
    await tick(30 * DAY - 1);
    expect(s.requests).toHaveLength(1);
    expect(sub.getSnapshot().status).toBe("open");
    sub.close();
  });

  test("reconnectMinMs and reconnectMaxMs", async () => {
    vi.spyOn(Math, "random").mockReturnValue(1);
    const s = server((exchange) => exchange.fail());
    const sub = subscribe({ url: "http://sluice", channel: "c", fetch: s.fetch, reconnectMinMs: ms, reconnectMaxMs: ms });
    await tick(29 * DAY);
    expect(s.requests).toHaveLength(1);
    sub.close();
  });

  test("timeoutMs of the server's client", async () => {
    const s = server();
    const answer = createServer({ url: "http://sluice", apiKey: "k", fetch: s.fetch, timeoutMs: ms }).token({ channel: "c" });
    await tick(29 * DAY);
    s.last.respond(Response.json({ token: "t" }));
    expect(await answer).toEqual({ token: "t" });
  });

  test("timeout of a question", async () => {
    const s = server((exchange) => {
      if (exchange.method === "POST") exchange.respond(Response.json({ id: "e-1" }));
      else if (exchange.url.pathname.endsWith("messages")) exchange.respond(Response.json({ messages: [], gap: false, next: null }));
    });
    const ref = {
      channel: "c",
      topic: "t",
      schema: { "~standard": { version: 1, vendor: "x", validate: (value: unknown) => ({ value }) } },
    } as const;
    const run = createServer({ url: "http://sluice", apiKey: "k", fetch: s.fetch }).run("c", "r");
    const answer = run.ask("step", ref, 1, { reply: ref, timeout: ms });
    await tick();
    s.last.open("e-1");
    await tick(1000);
    s.last.message("e-2", "yes");
    expect(await answer).toBe("yes");
  });
});
