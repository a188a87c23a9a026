import { SluiceError } from "../src/index.js";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { follow, type Options } from "./support/follow.js";
import { brokenOff, server, tick, type Exchange } from "./support/server.js";

let jitter = 0;

beforeEach(() => {
  vi.useFakeTimers();
  jitter = 0;
  vi.spyOn(Math, "random").mockImplementation(() => jitter);
});
afterEach(() => {
  vi.useRealTimers();
});

/** Has each request answered in the same way and returns the waits between them, in ms. */
async function waits(answer: (exchange: Exchange, count: number) => void, options: Options = {}, most = 60_000): Promise<number[]> {
  const times: number[] = [];
  const s = server((exchange, count) => {
    times.push(Date.now());
    if (times.length < 8) answer(exchange, count);
  });
  const { sub } = follow(s, options);
  await tick(most);
  sub.close();
  return times.slice(1, 8).map((time, i) => time - times[i]!);
}

describe("the wait before the next attempt", () => {
  test("is anything up to a bound that doubles from 250 ms to 5 s", async () => {
    jitter = 1;
    expect(await waits((exchange) => exchange.fail())).toEqual([250, 500, 1000, 2000, 4000, 5000, 5000]);
    jitter = 0.5;
    expect(await waits((exchange) => exchange.fail())).toEqual([125, 250, 500, 1000, 2000, 2500, 2500]);
    jitter = 0;
    expect(Math.max(...(await waits((exchange) => exchange.fail())))).toBeLessThan(2);
  });

  test("can be bounded otherwise", async () => {
    jitter = 1;
    const got = await waits((exchange) => exchange.fail(), { reconnectMinMs: 10, reconnectMaxMs: 50 });
    expect(got).toEqual([10, 20, 40, 50, 50, 50, 50]);
  });

  test.each([401, 403, 404, 500])("comes after a refusal that breaks off, too: %d", async (status) => {
    jitter = 1;
    const got = await waits((exchange) => exchange.respond(brokenOff(status)));
    expect(got).toEqual([250, 500, 1000, 2000, 4000, 5000, 5000]);
  });

  test.each([408, 425, 429, 500, 502, 503, 504])("is as long as the server asks for: %d with Retry-After", async (status) => {
    jitter = 1;
    const [first] = await waits((exchange) => exchange.refuse(status, "later", { "Retry-After": "7" }));
    expect(first).toBe(7000);
  });

  test("is no longer than five minutes, whatever the server asks for", async () => {
    const [first] = await waits((exchange) => exchange.refuse(503, "draining", { "Retry-After": "86400" }), {}, 400_000);
    expect(first).toBe(300_000);
  });

  test("begins anew after a connection that was open for as long as the longest wait", async () => {
    jitter = 1;
    const got = await waits((exchange, count) => {
      if (count < 5) return exchange.fail();
      exchange.open();
      setTimeout(() => exchange.break(), count === 5 ? 4999 : 5000);
    });
    expect(got).toEqual([250, 500, 1000, 2000, 4999 + 4000, 5000 + 250, 5000 + 250]);
  });

  test("begins anew after a connection that carried something, however short it was", async () => {
    jitter = 1;
    let n = 0;
    const got = await waits((exchange) => {
      exchange.open(`e-${n}`).run("e-0", { status: "running" }, { at: `e-${n}` });
      exchange.message(`e-${++n}`, n);
      setTimeout(() => exchange.break(), 1);
    });
    expect(got).toEqual([251, 251, 251, 251, 251, 251, 251]);
  });

  test("grows when connections carry nothing but what was there before", async () => {
    jitter = 1;
    const got = await waits((exchange) => {
      exchange.open("e-5").run("e-3", { status: "running" }, { at: "e-5" }).message("e-5", 5).heartbeat();
      setTimeout(() => exchange.break(), 1);
    });
    expect(got).toEqual([251, 501, 1001, 2001, 4001, 5001, 5001]);
  });

  test("grows when connections open and break at once", async () => {
    jitter = 1;
    const got = await waits((exchange) => {
      exchange.open();
      setTimeout(() => exchange.break(), 1);
    });
    expect(got).toEqual([251, 501, 1001, 2001, 4001, 5001, 5001]);
  });

  test("begins anew after the server has said that it ends the stream, and is what it says", async () => {
    jitter = 1;
    const got = await waits((exchange, count) => {
      if (count < 4) exchange.fail();
      else if (count === 4) exchange.open().close(4002, "server_draining", { retry_after_ms: 3210 });
      else exchange.open().close(4004, "max_age");
    });
    expect(got).toEqual([250, 500, 1000, 3210, 250, 250, 250]);
  });

  test("after a $close without $open, which turns a client away, is what it says, and the position stays", async () => {
    const s = server();
    const { sub } = follow(s, { lastEventId: "e-5" });
    await tick();
    s.last.stream().close(4029, "too_many_streams", { retry_after_ms: 5000 });
    await tick(4999);
    expect(s.requests).toHaveLength(1);
    expect(sub.getSnapshot()).toMatchObject({ status: "connecting", position: "e-5" });
    await tick(1);
    expect(s.requests).toHaveLength(2);
    expect(s.last.lastEventId).toBe("e-5");
    sub.close();
  });
});

describe("errors", () => {
  test.each([400, 403, 404, 405, 409, 410, 413, 415, 422])("%d ends the subscription", async (status) => {
    const s = server((exchange) => exchange.refuse(status, "some-slug", {}, { detail: "why", instance: "R1" }));
    const { sub } = follow(s);
    await tick(600_000);
    expect(s.requests).toHaveLength(1);
    const { status: state, error } = sub.getSnapshot();
    expect(state).toBe("error");
    expect(error).toBeInstanceOf(SluiceError);
    expect(error).toMatchObject({ status, code: "some-slug", detail: "why", instance: "R1", message: "No: why" });
  });

  test.each([
    ["the network fails", (e: Exchange) => e.fail()],
    ["the stream breaks", (e: Exchange) => e.open().break()],
    ["the stream ends early", (e: Exchange) => e.open().end()],
    [
      "the answer is a page of a portal",
      (e: Exchange) => e.respond(new Response("<h1>Log in</h1>", { headers: { "Content-Type": "text/html" } })),
    ],
    [
      "the answer is a page that does not end",
      (e: Exchange) => e.respond(new Response(new ReadableStream(), { headers: { "Content-Type": "text/html" } })),
    ],
    ["the answer has no type", (e: Exchange) => e.respond(new Response(new Uint8Array(2)))],
    ["an event of the server's own is no JSON", (e: Exchange) => e.open().send("id: e-1\nevent: $gap\ndata: {\n\n")],
  ])("%s: it comes again and says why", async (_, answer) => {
    const s = server((exchange, count) => count === 1 && answer(exchange));
    const { sub } = follow(s, { reconnectMinMs: 1000 });
    jitter = 0.5;
    await tick();
    await tick();
    expect(sub.getSnapshot()).toMatchObject({ status: "connecting", error: { code: "network", status: 0 } });
    expect(s.requests[0]!.left).toBe(true);
    await tick(500);
    s.last.open();
    await tick();
    expect(sub.getSnapshot()).toMatchObject({ status: "open", error: null });
    sub.close();
  });

  test("a line without an end ends the subscription rather than the memory", async () => {
    const s = server();
    const { sub } = follow(s);
    await tick();
    s.last.open().send("data: " + "x".repeat(4 << 20));
    await tick();
    expect(sub.getSnapshot()).toMatchObject({ status: "error", error: { code: "too-large" } });
    expect(s.last.left).toBe(true);
  });

  test("without reconnect the first loss is the end", async () => {
    const s = server();
    const { sub } = follow(s, { reconnect: false });
    await tick();
    s.last.open().break();
    await tick(60_000);
    expect(sub.getSnapshot()).toMatchObject({ status: "error", error: { code: "network" } });
    expect(s.requests).toHaveLength(1);
  });

  test("without reconnect the server's end is the end, too", async () => {
    const s = server();
    const { sub } = follow(s, { reconnect: false });
    await tick();
    s.last.open().close(4001, "token_expired");
    await tick(60_000);
    expect(sub.getSnapshot()).toMatchObject({ status: "closed", error: { code: 4001 } });
    expect(s.requests).toHaveLength(1);
  });

  test.each([
    [4401, "token_revoked"],
    [4403, "disconnected"],
    [4410, "channel_deleted"],
  ])("$close %d is final", async (code, reason) => {
    const s = server();
    const { sub, got } = follow(s);
    await tick();
    s.last.open().message("e-1", 1).close(code, reason, {}, "e-1");
    await tick(60_000);
    expect(sub.getSnapshot()).toMatchObject({ status: "closed", error: { code, status: 0 } });
    expect(sub.getSnapshot().error!.message).toContain(reason);
    expect(got).toEqual([1]);
    expect(s.requests).toHaveLength(1);
  });

  test.each([4001, 4002, 4003, 4004, 4005, 4029, 4999])("$close %d that says so leads to another connection", async (code) => {
    const s = server();
    const { sub } = follow(s);
    await tick();
    s.last.open().message("e-1", 1).close(code, "why", { reconnect: true }, "e-1");
    await tick();
    expect(s.requests).toHaveLength(2);
    expect(s.last.lastEventId).toBe("e-1");
    expect(sub.getSnapshot().status).toBe("connecting");
    sub.close();
  });
});
