import { SluiceError } from "../src/index.js";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { follow } from "./support/follow.js";
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

  test("says where the server is, if the options do not", async () => {
    const s = server((exchange) => exchange.open().end());
    let n = 0;
    const token = () => Response.json({ token: "t", url: `https://node-${++n}.example.com/sluice` });
    const one = follow(s, { url: undefined, token });
    const two = follow(s, { url: undefined, token, channel: "d" }); // both fit into one request
    await tick(300);
    one.sub.close();
    two.sub.close();
    const addresses = s.requests.map(({ url }) => url.origin + url.pathname);
    expect(addresses.slice(0, 2)).toEqual([
      "https://node-1.example.com/sluice/v1/subscribe",
      "https://node-2.example.com/sluice/v1/subscribe",
    ]);
    expect(s.requests[0]!.query("channel")).toEqual(["c", "d"]);
  });

  test("does not override the server of the options", async () => {
    const s = server();
    const { sub } = follow(s, { url: "http://mine", token: () => ({ token: "t", url: "https://example.com" }) });
    await tick();
    expect(s.last.url.origin).toBe("http://mine");
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
