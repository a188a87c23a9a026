import { subscribe, type Run } from "../src/index.js";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { messageOf, tick } from "./support/server.js";

/** The browser's EventSource, with the network in the hands of the test. */
class FakeEventSource extends EventTarget {
  static all: FakeEventSource[] = [];
  onerror: (() => void) | null = null;
  closed = false;

  constructor(readonly url: URL) {
    super();
    FakeEventSource.all.push(this);
  }

  close(): void {
    this.closed = true;
  }

  send(type: string, data: unknown, lastEventId: string): this {
    if (!this.closed) this.dispatchEvent(new MessageEvent(type, { data: JSON.stringify(data), lastEventId }));
    return this;
  }

  open(id = "e-0"): this {
    return this.send("$open", { id, resumed: false, channels: ["c"] }, id);
  }

  message(id: string, data: unknown, topic = "t"): this {
    return this.send(topic, messageOf(id, data, { topic }), id);
  }
}

const { all } = FakeEventSource;
const last = (): FakeEventSource => all.at(-1)!;

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0);
  vi.stubGlobal("EventSource", FakeEventSource);
  all.length = 0;
});
afterEach(() => {
  vi.useRealTimers();
});

function followSource(options: object = {}) {
  const got: unknown[] = [];
  const runs: Run[] = [];
  const sub = subscribe<string, string>({
    url: "http://sluice",
    channel: "c",
    topics: ["t", "u"],
    eventSource: true,
    onMessage: (message) => got.push(message.kind === "data" && message.data),
    onRun: (run) => runs.push(run),
    ...options,
  });
  return { sub, got, runs };
}

describe("over EventSource", () => {
  test("ends with the run by itself: the server's answer after the end would look like a failure", async () => {
    const { sub, got } = followSource({ until: "end", replay: "all" });
    await tick();
    expect(last().url.searchParams.has("until")).toBe(false);
    last()
      .open()
      .send("$run", messageOf("e-9", { status: "completed" }, { topic: "$run", kind: "run" }), "e-0");
    last().message("e-1", 1);
    await tick();
    expect(sub.getSnapshot().status).toBe("open");
    last().send("$live", {}, "e-8");
    await tick();
    expect(got).toEqual([1]);
    expect(sub.getSnapshot()).toMatchObject({ status: "closed", error: null, run: { status: "completed" } });
    expect(last().closed).toBe(true);
  });

  test("asks with the token in the address, and hands over what it was asked for", async () => {
    const { sub, got, runs } = followSource({ token: "a b", replay: "all" });
    await tick();
    expect(last().url.href).toBe("http://sluice/v1/subscribe?channel=c&topic=t&topic=u&replay=all&access_token=a+b");
    last()
      .open()
      .send("$run", messageOf("e-9", { status: "running" }, { topic: "$run", kind: "run" }), "e-0");
    last().message("e-1", 1).message("e-2", 2, "u").message("e-3", 3, "unasked");
    last().send("$position", {}, "e-7");
    await tick();
    expect(got).toEqual([1, 2]);
    expect(runs).toEqual([{ status: "running" }]);
    expect(sub.getSnapshot().status).toBe("open");
    sub.close();
    await tick();
    expect(last().closed).toBe(true);
  });

  test("tells a server that never answered from a connection that is lost", async () => {
    const { sub } = followSource({});
    await tick();
    last().onerror!();
    await tick();
    expect(sub.getSnapshot().error?.message).toMatch(/^No Sluice at .*: is it up/);
    last().open();
    await tick();
    last().onerror!();
    await tick();
    expect(sub.getSnapshot().error?.message).toBe("Connection lost");
    sub.close();
  });

  test("comes again by itself, with a new token and from its position", async () => {
    let n = 0;
    const { sub, got } = followSource({ token: () => `t${++n}` });
    await tick();
    last().open().message("e-1", 1);
    last().onerror!();
    await tick();
    expect(all[0]!.closed).toBe(true);
    expect(sub.getSnapshot()).toMatchObject({ status: "connecting", error: { code: "network" } });
    expect(all).toHaveLength(2);
    expect(Object.fromEntries(last().url.searchParams)).toMatchObject({ access_token: "t2", last_event_id: "e-1" });
    last().open("e-1").message("e-2", 2);
    await tick();
    expect(got).toEqual([1, 2]);
    sub.close();
  });

  test("$close is heard", async () => {
    const { sub } = followSource();
    await tick();
    last().open().send("$close", { code: 4002, reason: "server_draining", reconnect: true, retry_after_ms: 700 }, "e-0");
    await tick(699);
    expect(all).toHaveLength(1);
    expect(all[0]!.closed).toBe(true);
    await tick(1);
    expect(all).toHaveLength(2);
    last().open().send("$close", { code: 4403, reason: "disconnected", reconnect: false }, "e-0");
    await tick(60_000);
    expect(sub.getSnapshot()).toMatchObject({ status: "closed", error: { code: 4403 } });
    expect(all).toHaveLength(2);
    expect(last().closed).toBe(true);
  });

  test("silence is no sign of death, since heartbeats are not seen", async () => {
    const { sub } = followSource();
    await tick();
    last().open();
    await tick(600_000);
    expect(all).toHaveLength(1);
    expect(sub.getSnapshot().status).toBe("open");
    sub.close();
  });

  test("subscriptions share it; with different topics it asks for all of them and hears each", async () => {
    const one = followSource({ topics: ["t"] });
    const two = followSource({ topics: ["u"] });
    await tick();
    expect(all).toHaveLength(1);
    last().open().message("e-1", 1).message("e-2", 2, "u");
    await tick();
    expect([one.got, two.got]).toEqual([[1], [2]]);
    one.sub.close();
    two.sub.close();
  });
});
