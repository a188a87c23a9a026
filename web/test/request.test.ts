import { channel, subscribe } from "../src/index.js";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { follow } from "./support/follow.js";
import { server, tick } from "./support/server.js";

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0);
});
afterEach(() => {
  vi.useRealTimers();
});

describe("the request", () => {
  test("asks for channels and topics, with the token in the header and nowhere else", async () => {
    const s = server();
    const sub = subscribe({
      url: "http://sluice/base/",
      fetch: s.fetch,
      token: "secret",
      channels: ["a/b:é&", "pipeline:*"],
      topics: ["t", "u"],
      replay: 3,
    });
    await tick();
    const { url, headers, method } = s.last;
    expect(url.pathname).toBe("/base/v1/subscribe");
    expect([...url.searchParams]).toEqual([
      ["channel", "a/b:é&"],
      ["channel", "pipeline:*"],
      ["topic", "t"],
      ["topic", "u"],
      ["replay", "3"],
    ]);
    expect(Object.fromEntries(headers)).toEqual({ accept: "text/event-stream", authorization: "Bearer secret" });
    expect(method).toBe("GET");
    expect(url.href).not.toContain("secret");
    sub.close();
  });

  test("without options asks for what the token names", async () => {
    const s = server();
    const sub = subscribe({ url: new URL("http://sluice"), fetch: s.fetch });
    await tick();
    expect(s.last.url.href).toBe("http://sluice/v1/subscribe");
    expect(s.last.token).toBeNull();
    sub.close();
  });

  test("goes to the page's origin, and with a path only to that path there", async () => {
    vi.stubGlobal("location", new URL("https://page.example/some/where?a=1#b"));
    const s = server();
    const subs = [subscribe({ fetch: s.fetch, channel: "c" }), subscribe({ url: "/sluice", fetch: s.fetch, channel: "c" })];
    await tick();
    expect(s.requests.map(({ url }) => url.href)).toEqual([
      "https://page.example/v1/subscribe?channel=c",
      "https://page.example/sluice/v1/subscribe?channel=c",
    ]);
    subs.forEach((sub) => sub.close());
  });

  test("uses the runtime's fetch if none is given", async () => {
    const s = server();
    vi.stubGlobal("fetch", s.fetch);
    const sub = subscribe({ url: "http://sluice", channel: "c" });
    await tick();
    expect(s.requests).toHaveLength(1);
    sub.close();
  });

  test("asks for defined channels by name, and for a family by its pattern", async () => {
    const s = server();
    const family = channel({ name: ({ a, b }: { a: string; b: string }) => `p:${a}:${b}`, topics: {} });
    const one = channel({ name: "one", topics: {} });
    const sub = subscribe({ url: "http://sluice", fetch: s.fetch, channels: [family, family({ a: "1", b: "2" }), one] });
    await tick();
    expect(s.last.query("channel")).toEqual(["p:*", "p:1:2", "one"]);
    sub.close();
  });

  test("resumes from lastEventId, and replays nothing then", async () => {
    const s = server();
    const { sub } = follow(s, { lastEventId: "e-7", replay: "all" });
    expect(sub.getSnapshot().position).toBe("e-7");
    await tick();
    expect(s.last.lastEventId).toBe("e-7");
    expect(s.last.query("replay")).toEqual([]);
    sub.close();
  });

  test("replays only until there is a position", async () => {
    const s = server();
    const { sub } = follow(s, { replay: "latest" });
    await tick();
    s.last.fail();
    await tick();
    expect(s.last.query("replay")).toEqual(["latest"]);
    s.last.open("e-5").break();
    await tick();
    s.last.open("e-5").end();
    await tick();
    expect(s.requests).toHaveLength(4);
    expect(s.requests.map(({ lastEventId }) => lastEventId)).toEqual([null, null, null, "e-5"]);
    sub.close();
  });

  test("does not go out when the subscription is closed in the same moment, or its signal has aborted", async () => {
    const s = server();
    follow(s).sub.close();
    const { sub } = follow(s, { signal: AbortSignal.abort() });
    await tick(60_000);
    expect(sub.getSnapshot().status).toBe("closed");
    expect(s.requests).toHaveLength(0);
  });

  test("EventSource without topics makes no sense", () => {
    expect(() => subscribe({ url: "http://sluice", channel: "c", eventSource: true })).toThrow(TypeError);
  });
});
