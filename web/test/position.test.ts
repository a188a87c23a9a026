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

describe("the position", () => {
  test("is not moved by what follows $close in the same piece", async () => {
    const s = server();
    const { sub, got } = follow(s);
    await tick();
    s.last.open("e-1").together((exchange) => {
      exchange.event("$close", { code: 4004, reason: "max_age", reconnect: true }, "e-1").message("e-2", 2);
    });
    await tick();
    expect(got).toEqual([]);
    expect(s.last.lastEventId).toBe("e-1");
    sub.close();
  });

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

  test("a gap that ends where the stream begins is told", async () => {
    const s = server();
    const { sub } = follow(s, { lastEventId: "old-9" });
    await tick();
    s.last.open("new-5").gap("new-5", "old-9", "new-5", "c", "restarted");
    await tick();
    expect(sub.getSnapshot().gaps).toHaveLength(1);
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
