// More than one stream can carry: it is asked for in as few streams as the limits allow.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { follow } from "./support/follow.js";
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

/** A server with limits of its own, which opens whatever is within them and counts what is not. */
function limited(refuses: (exchange: Exchange) => number | undefined): Server & { refused(): number } {
  let refused = 0;
  const s = server((exchange) => {
    const status = refuses(exchange);
    if (status) refused++;
    if (status) exchange.refuse(status, "no");
    else exchange.open(exchange.lastEventId ?? "e-1");
  });
  return Object.assign(s, { refused: () => refused });
}

const real = (exchange: Exchange): number | undefined => {
  const names = exchange.query("channel");
  if (names.length > 256 || names.filter((name) => name.endsWith("*")).length > 16) return 400;
  return exchange.url.href.length > 8000 ? 414 : undefined;
};

const rows = (count: number, length: number, more = ""): string[] =>
  Array.from({ length: count }, (_, i) => "row:" + String(i).padStart(length, "0") + more);

describe("subscriptions that begin together", () => {
  test.each([
    [300, 8, "", 2],
    [1000, 4, "", 8], // as many as fit into addresses of 4000 characters
    [150, 60, "", 4],
    [40, 4, ":*", 4],
    [256, 2, "", 2],
    [3, 250, "", 1],
  ])("%d channels with names of %d digits%s take %d streams and no refusal", async (count, length, more, streams) => {
    const s = limited(real);
    const subs = rows(count, length, more).map((name) => join(s, name));
    await tick();
    for (let i = 0; i < 4; i++) await settle();
    expect(s.refused()).toBe(0);
    expect(alive(s).length).toBeLessThanOrEqual(streams);
    expect(new Set(alive(s).flatMap((each) => each.query("channel"))).size).toBe(count);
    expect(subs.every(({ sub }) => sub.getSnapshot().status === "open")).toBe(true);
  });

  test("one that wants too much by itself is refused by itself", async () => {
    const s = limited(real);
    const big = join(s, rows(300, 2));
    const small = join(s, "small");
    await tick();
    for (let i = 0; i < 3; i++) await settle();
    expect(big.sub.getSnapshot()).toMatchObject({ status: "error", error: { status: 400 } });
    expect(small.sub.getSnapshot().status).toBe("open");
  });
});

describe("lower limits than are known", () => {
  test.each([400, 413, 414, 431])("of the length, %d: are found out, and then kept to", async (status) => {
    const s = limited(({ url }) => (url.href.length > 1000 ? status : undefined));
    const subs = rows(60, 30).map((name) => join(s, name));
    await tick();
    for (let i = 0; i < 6; i++) await settle();
    expect(subs.every(({ sub }) => sub.getSnapshot().status === "open")).toBe(true);
    expect(alive(s).length).toBeLessThanOrEqual(6);
    const requests = s.requests.length;
    const refused = s.refused();
    await tick(60_000);
    for (const each of alive(s)) each.heartbeat();
    const late = join(s, "row:late");
    for (let i = 0; i < 4; i++) await settle();
    expect(late.sub.getSnapshot().status).toBe("open");
    expect(s.refused() - refused).toBeLessThanOrEqual(1);
    expect(requests).toBeLessThan(40);
  });

  test("a bad one among many is found in a few requests, and the others are brought together again", async () => {
    const s = limited((exchange) => (exchange.query("channel").includes("row:bad") ? 403 : undefined));
    const bad = join(s, "row:bad");
    const subs = rows(200, 4).map((name) => join(s, name));
    await tick();
    for (let i = 0; i < 4; i++) await settle();
    expect(bad.sub.getSnapshot()).toMatchObject({ status: "error", error: { status: 403 } });
    expect(subs.every(({ sub }) => sub.getSnapshot().status === "open")).toBe(true);
    expect(s.requests.length).toBeLessThan(20);
    expect(alive(s).length).toBeLessThanOrEqual(3);
  });
});

describe("token functions written in place", () => {
  test("are told of once, in development", async () => {
    vi.resetModules();
    const { subscribe } = await import("../src/index.js");
    const warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
    const s = server();
    const make = (n: number, token: () => string): (() => void) =>
      subscribe({ url: "http://sluice", fetch: s.fetch, channel: `c${n}`, token }).close;
    const shared = (): string => "t";
    const closing = Array.from({ length: 8 }, (_, n) => make(n, shared));
    await tick();
    expect(warn).not.toHaveBeenCalled();
    vi.stubEnv("NODE_ENV", "production");
    closing.push(...Array.from({ length: 8 }, (_, n) => make(n, () => "t")));
    await tick();
    expect(warn).not.toHaveBeenCalled();
    vi.unstubAllEnvs();
    closing.push(...Array.from({ length: 8 }, (_, n) => make(n, () => "t")));
    await tick();
    expect(warn).toHaveBeenCalledOnce();
    expect(warn.mock.calls[0]![0]).toContain("token function");
    for (const close of closing) close();
  });

  test("in a page without a bundler, too, nothing fails", async () => {
    vi.resetModules();
    const s = server();
    vi.stubGlobal("process", {}); // without env it fails as well; Vitest sets nextTick on it meanwhile
    const all = Array.from({ length: 5 }, () => follow(s, { token: () => "t" }));
    await tick();
    vi.unstubAllGlobals();
    expect(s.requests).toHaveLength(5);
    for (const { sub } of all) sub.close();
  });
});
