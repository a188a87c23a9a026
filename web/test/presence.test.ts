import { afterEach, describe, expect, it, vi } from "vitest";
import { channel, staticSchema } from "../src/index.js";
import { followPresence, type PresenceOptions, type PresenceSubscription } from "../src/presence/index.js";
import { bye, scriptedServer, settled } from "./react.harness.js";

const room = channel({ name: ({ id }: { id: string }) => `room:${id}`, topics: { said: { schema: staticSchema<string>() } } });

const opened = (): string => `id: k-1\nevent: $open\ndata: {"id":"k-1","channels":["room:1"],"heartbeat_ms":15000}\n\n`;
const told = (data: object): string =>
  `id: k-1\nevent: $presence\ndata: ${JSON.stringify({ channel: "room:1", joined: [], left: [], count: 0, ...data })}\n\n`;

let open: PresenceSubscription[] = [];
afterEach(() => {
  for (const each of open) each.close();
  open = [];
});

function follow(server: ReturnType<typeof scriptedServer>, options: Partial<PresenceOptions> = {}) {
  const changes: unknown[] = [];
  const following = followPresence({
    url: "https://a.example/base",
    token: "t",
    channel: room({ id: "1" }),
    fetch: server.fetch,
    reconnectMinMs: 1,
    onChange: ({ subjects, count }, { joined, left }) => void changes.push([subjects.join(), joined.join(), left.join(), count].join("|")),
    ...options,
  });
  open.push(following);
  return { following, changes };
}

describe("followPresence", () => {
  it("asks for presence alone, and tells the state and the changes", async () => {
    const server = scriptedServer();
    const { following, changes } = follow(server);
    expect(following.getSnapshot()).toEqual({ status: "connecting", subjects: [], count: 0, more: false, error: null });
    await settled();
    expect(server.stream.url.href).toBe("https://a.example/base/v1/subscribe?channel=room%3A1&topic=%24presence");
    server.stream.send(opened(), told({ state: true, joined: ["bob", "ann"], count: 3 }));
    await settled();
    server.stream.send(told({ joined: ["zoe"], left: ["ann"], count: 3 }), told({ count: 2 }));
    await settled();
    expect(changes).toEqual(["ann,bob|ann,bob||3", "bob,zoe|zoe|ann|3", "bob,zoe|||2"]);
    expect(following.getSnapshot()).toEqual({ status: "open", subjects: ["bob", "zoe"], count: 2, more: false, error: null });
  });

  it("puts events together that belong together", async () => {
    const server = scriptedServer();
    const { changes } = follow(server);
    await settled();
    server.stream.send(opened(), told({ state: true, joined: ["a"], count: 2, partial: true }));
    await settled();
    expect(changes).toEqual([]);
    server.stream.send(told({ joined: ["b"], count: 2 }));
    await settled();
    server.stream.send(told({ state: true, count: 1001, more: true }));
    await settled();
    expect(changes).toEqual(["a,b|a,b||2", "||a,b|1001"]);
  });

  it("keeps what it knows over a lost connection, and tells what is different after it", async () => {
    const server = scriptedServer();
    const { following, changes } = follow(server);
    await settled();
    server.stream.send(opened(), told({ state: true, joined: ["ann", "bob"], count: 2 }));
    await settled();
    server.stream.cut();
    await expect.poll(() => server.streams.length).toBe(2);
    expect(following.getSnapshot()).toMatchObject({ status: "connecting", subjects: ["ann", "bob"] });
    expect(server.stream.headers.get("last-event-id")).toBeNull();
    server.stream.send(opened(), told({ state: true, joined: ["ann", "bob"], count: 2 }));
    await settled();
    expect(changes).toHaveLength(1);
    server.stream.cut();
    await expect.poll(() => server.streams.length).toBe(3);
    server.stream.send(opened(), told({ state: true, joined: ["bob", "eve"], count: 2 }));
    await settled();
    expect(changes.slice(1)).toEqual(["bob,eve|eve|ann|2"]);
    expect(following.getSnapshot().error).toBeNull();
  });

  it("shares a connection, until the last one leaves", async () => {
    const server = scriptedServer();
    const first = follow(server);
    const second = follow(server);
    const other = follow(server, { channel: "room:2" });
    await settled();
    expect(server.streams).toHaveLength(2);
    server.streams[0]!.send(opened(), told({ state: true, joined: ["ann"], count: 1 }));
    await settled();
    const late = follow(server);
    await settled();
    expect([first, second, late].map(({ changes }) => changes)).toEqual(Array(3).fill(["ann|ann||1"]));
    expect(other.changes).toEqual([]);
    first.following.close();
    second.following.close();
    await settled();
    expect(server.live()).toHaveLength(2);
    late.following.close();
    late.following.close();
    await settled();
    expect(server.live()).toHaveLength(1);
    expect(late.following.getSnapshot()).toMatchObject({ status: "closed", subjects: ["ann"] });
  });

  it("ends when the server refuses it, or says so", async () => {
    const refusing = scriptedServer();
    refusing.refuse(403, "forbidden");
    const refused = follow(refusing, { channel: "room:3" });
    const listener = vi.fn();
    refused.following.subscribe(listener);
    await settled();
    expect(refused.following.getSnapshot()).toMatchObject({ status: "error", error: { code: "forbidden", status: 403 } });
    expect(listener).toHaveBeenCalledOnce();
    const server = scriptedServer();
    const closed = follow(server, { channel: "room:4" });
    await settled();
    server.stream.send(opened(), bye(1, 4401, false));
    await settled();
    expect(closed.following.getSnapshot()).toMatchObject({ status: "closed", error: { code: 4401 } });
    expect(server.streams).toHaveLength(1);
  });

  it("ends with its signal, and refuses what has no presence", async () => {
    const server = scriptedServer();
    const ended = new AbortController();
    const { following } = follow(server, { signal: ended.signal });
    await settled();
    ended.abort();
    await settled();
    expect(following.getSnapshot().status).toBe("closed");
    expect(server.live()).toHaveLength(0);
    expect(follow(server, { signal: ended.signal }).following.getSnapshot().status).toBe("closed");
    expect(() => follow(server, { channel: "room:*" })).toThrow(TypeError);
    expect(() => follow(server, { channel: room as never })).toThrow(TypeError);
  });
});
