import { SluiceError } from "../src/index.js";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { follow, iterable, type Options } from "./support/follow.js";
import { server, tick, type Exchange } from "./support/server.js";

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
    ["the answer has no type", (e: Exchange) => e.respond(new Response(new Uint8Array(2)))],
    ["an event is no JSON", (e: Exchange) => e.open().send("id: e-1\nevent: t\ndata: {\n\n")],
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

describe("the position", () => {
  test("moves only by whole events", async () => {
    const text = 'id: e-12\nevent: t\ndata: {"id":"e-12","channel":"c","topic":"t","kind":"data","data":12}\n\n';
    for (let at = 0; at < text.length; at++) {
      const s = server();
      const { sub, got } = follow(s);
      await tick();
      s.last.open("e-1").send(text.slice(0, at));
      await tick();
      s.last.end();
      await tick();
      expect(s.last.lastEventId, `cut at ${at}`).toBe("e-1");
      s.last.open("e-1").send(text);
      await tick();
      expect(got).toEqual([12]);
      sub.close();
    }
  });

  test("a character may be cut by the pieces of the stream", async () => {
    const text = new TextEncoder().encode(
      'id: e-1\nevent: t\ndata: {"id":"e-1","channel":"c","topic":"t","kind":"data","data":"é日本🙂"}\n\n',
    );
    for (let size = 1; size < 6; size++) {
      const s = server();
      const { sub, got } = follow(s);
      await tick();
      s.last.open();
      for (let at = 0; at < text.length; at += size) s.last.send(text.subarray(at, at + size));
      await tick();
      expect(got).toEqual(["é日本🙂"]);
      sub.close();
    }
  });

  test("that the server does not know is followed by a gap, and then goes on from there", async () => {
    const s = server();
    const gaps: unknown[] = [];
    const { sub, got } = follow(s, { lastEventId: "old-9", onGap: (gap) => gaps.push(gap) });
    await tick();
    s.last.open("new-0").gap("new-0", "old-9", null, "c", "restarted").message("new-1", 1);
    await tick();
    expect(gaps).toEqual([{ channel: "c", after: "old-9", resumes_at: null, reason: "restarted" }]);
    expect(got).toEqual([1]);
    s.last.break();
    await tick();
    expect(s.last.lastEventId).toBe("new-1");
    sub.close();
  });

  test("is opaque: one of another form does, too", async () => {
    const s = server();
    const { sub, got } = follow(s);
    await tick();
    s.last.open("0199:a").message("0199:b", 1).message("0199:c", 2);
    await tick();
    s.last.break();
    await tick();
    expect(got).toEqual([1, 2]);
    expect(s.last.lastEventId).toBe("0199:c");
    s.last.open("0199:c").message("0199:d", 3);
    await tick(5000);
    expect(got).toEqual([1, 2, 3]);
    expect(s.requests).toHaveLength(2);
    sub.close();
  });
});

describe("the token", () => {
  test("is asked for before each connection", async () => {
    const s = server();
    let n = 0;
    const { sub } = follow(s, { token: async () => ({ token: `t${++n}`, expires_at: "soon" }) });
    for (let i = 0; i < 3; i++) {
      await tick();
      s.last.open().end();
    }
    await tick();
    expect(s.requests.map(({ token }) => token)).toEqual(["t1", "t2", "t3", "t4"]);
    sub.close();
  });

  test("that is refused is replaced once, at once; then it is over", async () => {
    const s = server((exchange) => exchange.refuse(401, "unauthorized"));
    let n = 0;
    jitter = 0.9;
    const { sub } = follow(s, { token: () => `t${++n}` });
    await tick();
    expect(s.requests.map(({ token }) => token)).toEqual(["t1", "t2"]);
    await tick(60_000);
    expect(s.requests).toHaveLength(2);
    expect(sub.getSnapshot()).toMatchObject({ status: "error", error: { status: 401, code: "unauthorized" } });
  });

  test("may be refused again after a connection has opened", async () => {
    const s = server((exchange, count) => {
      if (count % 2) exchange.refuse(401, "unauthorized");
      else exchange.open().end();
    });
    const { sub } = follow(s, { token: () => "t", reconnectMinMs: 100 });
    jitter = 0.999;
    await tick(1000);
    expect(s.requests.length).toBeGreaterThan(6);
    expect(sub.getSnapshot().status).toBe("connecting");
    sub.close();
  });

  test("that is fixed and refused is the end", async () => {
    const s = server((exchange) => exchange.refuse(401, "unauthorized"));
    const { sub } = follow(s, { token: "fixed" });
    await tick(60_000);
    expect(s.requests).toHaveLength(1);
    expect(sub.getSnapshot()).toMatchObject({ status: "error", error: { status: 401 } });
  });

  test.each([
    [
      "throws",
      () => {
        throw new Error("no session");
      },
    ],
    ["fails later", () => Promise.reject(new Error("no session"))],
    ["answers with nothing", () => null as unknown as string],
  ])("whose source %s is asked for again", async (_, source) => {
    const s = server();
    let calls = 0;
    jitter = 0.5;
    const { sub } = follow(s, { token: () => (++calls < 3 ? source() : "t") });
    await tick();
    expect(sub.getSnapshot()).toMatchObject({ status: "connecting", error: { code: "token", status: 0 } });
    await tick(125 + 250);
    expect(calls).toBe(3);
    expect(s.requests.map(({ token }) => token)).toEqual(["t"]);
    sub.close();
  });

  test("whose source refuses for good with a SluiceError ends it", async () => {
    const s = server();
    const refusal = new SluiceError("forbidden", "You are not welcome", { status: 403 });
    const { sub } = follow(s, { token: () => Promise.reject(refusal) });
    await tick(60_000);
    expect(sub.getSnapshot()).toMatchObject({ status: "error", error: refusal });
    expect(s.requests).toHaveLength(0);
  });

  test("that comes after close() is used for nothing", async () => {
    const s = server();
    let give: (token: string) => void = () => undefined;
    const { sub } = follow(s, { token: () => new Promise<string>((resolve) => (give = resolve)) });
    await tick();
    sub.close();
    give("late");
    await tick(60_000);
    expect(s.requests).toHaveLength(0);
  });
});

describe("signs of life", () => {
  test("a connection that is silent for two and a half heartbeats is dead", async () => {
    const s = server();
    const { sub } = follow(s);
    await tick();
    s.last.open("e-3");
    await tick(37_499);
    expect(s.requests).toHaveLength(1);
    expect(sub.getSnapshot().status).toBe("open");
    await tick(1);
    await tick(1); // a wait of no time
    expect(s.requests[0]!.left).toBe(true);
    expect(s.requests).toHaveLength(2);
    expect(s.last.lastEventId).toBe("e-3");
    expect(sub.getSnapshot()).toMatchObject({ status: "connecting", error: { code: "network" } });
    sub.close();
  });

  test("a heartbeat is a sign of life, and so is half an event", async () => {
    const s = server();
    const { sub } = follow(s);
    await tick();
    s.last.open();
    for (let i = 0; i < 5; i++) {
      await tick(37_499);
      s.last.heartbeat();
    }
    await tick(37_499);
    s.last.send("id: e-");
    await tick(37_499);
    expect(s.requests).toHaveLength(1);
    expect(sub.getSnapshot().status).toBe("open");
    await tick(1);
    await tick(1); // a wait of no time
    expect(s.requests).toHaveLength(2);
    sub.close();
  });

  test("an answer that stays away is not waited for any longer than that", async () => {
    const s = server();
    const { sub } = follow(s, { heartbeatMs: 1000 });
    await tick(2499);
    expect(s.requests).toHaveLength(1);
    await tick(1);
    await tick(1); // a wait of no time
    expect(s.requests[0]!.left).toBe(true);
    expect(s.requests).toHaveLength(2);
    sub.close();
  });

  test("headers without $open are silence, too", async () => {
    const s = server();
    const { sub } = follow(s, { heartbeatMs: 1000 });
    await tick();
    s.last.stream();
    await tick(2500);
    await tick(1);
    expect(s.requests).toHaveLength(2);
    sub.close();
  });

  test("with 0 for the heartbeat it waits for ever", async () => {
    const s = server();
    const { sub } = follow(s, { heartbeatMs: 0 });
    await tick();
    s.last.open();
    await tick(3_600_000);
    expect(s.requests).toHaveLength(1);
    expect(sub.getSnapshot().status).toBe("open");
    sub.close();
  });

  test("no timer is left after the end", async () => {
    const s = server();
    const { sub } = follow(s);
    await tick();
    s.last.open();
    await tick();
    sub.close();
    await tick();
    expect(vi.getTimerCount()).toBe(0);
    const refused = follow(s);
    await tick();
    s.last.refuse(404, "not-found");
    await tick();
    expect(refused.sub.getSnapshot().status).toBe("error");
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("the page", () => {
  /** A page in which the network comes and goes and which can be seen or not. */
  function page(): { online(): void; look(state: "visible" | "hidden"): void; listeners(): number } {
    const window = new EventTarget();
    const document = Object.assign(new EventTarget(), { visibilityState: "visible" });
    const counts = { window: 0, document: 0 };
    for (const [name, target] of Object.entries({ window, document }) as [keyof typeof counts, EventTarget][]) {
      const { addEventListener, removeEventListener } = target;
      target.addEventListener = (...args) => {
        counts[name]++;
        addEventListener.apply(target, args);
      };
      target.removeEventListener = (...args) => {
        counts[name]--;
        removeEventListener.apply(target, args);
      };
    }
    vi.stubGlobal("addEventListener", window.addEventListener.bind(window));
    vi.stubGlobal("removeEventListener", window.removeEventListener.bind(window));
    vi.stubGlobal("document", document);
    return {
      online: () => void window.dispatchEvent(new Event("online")),
      look(state) {
        document.visibilityState = state;
        document.dispatchEvent(new Event("visibilitychange"));
      },
      listeners: () => counts.window + counts.document,
    };
  }

  test("online again: an open connection is made anew at once", async () => {
    const { online } = page();
    jitter = 0.9;
    const s = server();
    const { sub, got } = follow(s);
    await tick();
    s.last.open().message("e-1", 1);
    await tick();
    online();
    await tick();
    expect(s.requests).toHaveLength(2);
    expect(s.requests[0]!.left).toBe(true);
    expect(s.last.lastEventId).toBe("e-1");
    s.last.open("e-1").message("e-2", 2);
    await tick();
    expect(got).toEqual([1, 2]);
    expect(sub.getSnapshot().status).toBe("open");
    sub.close();
  });

  test("online again: a wait is over", async () => {
    const { online } = page();
    jitter = 0.9;
    const s = server((exchange, count) => count < 3 && exchange.fail());
    const { sub } = follow(s);
    await tick();
    expect(s.requests).toHaveLength(1);
    online();
    await tick();
    expect(s.requests).toHaveLength(2);
    online();
    await tick();
    expect(s.requests).toHaveLength(3);
    sub.close();
  });

  test("online again while a token is fetched: that one is not used any more", async () => {
    const { online } = page();
    const s = server();
    const give: ((token: string) => void)[] = [];
    const { sub } = follow(s, { token: () => new Promise<string>((resolve) => give.push(resolve)) });
    await tick();
    online();
    give[0]!("old");
    await tick();
    expect(s.requests).toHaveLength(0);
    give[1]!("new");
    await tick();
    expect(s.requests.map(({ token }) => token)).toEqual(["new"]);
    sub.close();
  });

  test("looked at again: a wait is over, and a connection stays unless it was silent for too long", async () => {
    const { look } = page();
    jitter = 0.9;
    const s = server((exchange, count) => count === 1 && exchange.fail());
    const { sub } = follow(s);
    await tick();
    look("visible");
    await tick();
    expect(s.requests).toHaveLength(2);
    s.last.open("e-1");
    await tick();
    look("visible");
    await tick();
    expect(s.last.left).toBe(false);
    vi.setSystemTime(Date.now() + 60_000); // timers slept with the machine
    look("visible");
    await tick();
    expect(s.requests).toHaveLength(3);
    expect(s.requests[1]!.left).toBe(true);
    expect(s.last.lastEventId).toBe("e-1");
    sub.close();
  });

  test("is not listened to without a subscription", async () => {
    const { listeners } = page();
    const s = server();
    const { sub } = follow(s);
    const other = iterable(s, { token: "another" });
    await tick();
    expect(listeners()).toBe(4);
    sub.close();
    other.close();
    await tick();
    expect(listeners()).toBe(0);
    const again = follow(s);
    again.sub.close();
    await tick();
    expect(listeners()).toBe(0);
  });
});
