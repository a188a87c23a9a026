import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { follow, iterable } from "./support/follow.js";
import { server, tick } from "./support/server.js";

let jitter = 0;

beforeEach(() => {
  vi.useFakeTimers();
  jitter = 0;
  vi.spyOn(Math, "random").mockImplementation(() => jitter);
});
afterEach(() => {
  vi.useRealTimers();
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

  test.each([
    [1000, 2500],
    [60_000, 150_000],
  ])("is what the server says, %d ms, unless the user does", async (heartbeat_ms, silence) => {
    const s = server();
    const { sub } = follow(s);
    const own = follow(s, { heartbeatMs: 4000, token: "another" });
    await tick();
    for (const request of s.requests) request.stream().event("$open", { id: "e-0", resumed: false, channels: ["c"], heartbeat_ms }, "e-0");
    const [first, second] = s.requests;
    const left = new Map<unknown, number>();
    for (let ms = 0; ms < 160_000; ms += 500) {
      await tick(500);
      for (const each of [first, second]) if (each!.left && !left.has(each)) left.set(each, ms + 500);
    }
    expect([left.get(first), left.get(second)]).toEqual([silence, 10_000]);
    sub.close();
    own.sub.close();
  });

  test("before the server has said so it is what it was, also after a short heartbeat", async () => {
    const s = server();
    const { sub } = follow(s);
    await tick();
    s.last.stream().event("$open", { id: "e-0", resumed: false, channels: ["c"], heartbeat_ms: 100 }, "e-0");
    await tick(250);
    await tick(1);
    expect(s.requests).toHaveLength(2);
    await tick(37_000);
    expect(s.last.left).toBe(false);
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
