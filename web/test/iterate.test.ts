import { channel, SluiceError, subscribe, type Message } from "../src/index.js";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { follow, iterable } from "./support/follow.js";
import { server, tick } from "./support/server.js";

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0);
});
afterEach(() => {
  vi.useRealTimers();
});

/** What a loop over the messages has come to. */
interface Loop {
  readonly got: unknown[];
  ended: boolean;
  error: unknown;
}

function loop(messages: AsyncIterable<Message>, step: (message: Message) => unknown = () => undefined): Loop {
  const state: Loop = { got: [], ended: false, error: undefined };
  void (async () => {
    try {
      for await (const message of messages) {
        state.got.push(message.kind === "data" ? message.data : message.text);
        if ((await step(message)) === "break") break;
      }
    } catch (error) {
      state.error = error;
    }
    state.ended = true;
  })();
  return state;
}

const numbers = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

describe("iteration", () => {
  test("gives the messages in order, and those that came before it began", async () => {
    const s = server();
    const sub = iterable(s);
    await tick();
    s.last.open().message("e-1", 1).message("e-2", 2);
    await tick();
    const { got } = loop(sub);
    await tick();
    s.last.message("e-3", 3);
    await tick();
    expect(got).toEqual([1, 2, 3]);
    sub.close();
  });

  test("the position moves when the next message is asked for, not before", async () => {
    const s = server();
    const sub = iterable(s);
    const iterator = sub[Symbol.asyncIterator]();
    await tick();
    s.last.open().message("e-1", 1).message("e-2", 2);
    await tick();
    expect(sub.getSnapshot().position).toBe("e-0");
    expect(await iterator.next()).toMatchObject({ value: { data: 1 } });
    await tick();
    expect(sub.getSnapshot().position).toBe("e-0");
    expect(await iterator.next()).toMatchObject({ value: { data: 2 } });
    expect(sub.getSnapshot().position).toBe("e-1");
    sub.close();
  });

  test("what is not taken yet survives a reconnect, and is not asked for again", async () => {
    const s = server();
    const sub = iterable(s);
    await tick();
    s.last.open().message("e-1", 1).message("e-2", 2);
    await tick();
    s.last.break();
    await tick();
    expect(s.requests).toHaveLength(2);
    expect(s.last.lastEventId).toBe("e-2");
    s.last.open("e-2").message("e-3", 3);
    await tick();
    expect(sub.getSnapshot().position).toBe("e-0");
    const { got } = loop(sub);
    await tick();
    expect(got).toEqual([1, 2, 3]);
    expect(sub.getSnapshot().position).toBe("e-3");
    sub.close();
  });

  test("onMessage that returns a promise holds up the next message, and the connection in the same way", async () => {
    const s = server();
    const done: (() => void)[] = [];
    const got: unknown[] = [];
    const { sub } = follow(s, {
      onMessage: (message) => {
        got.push(message.id);
        return new Promise<void>((resolve) => done.push(resolve));
      },
    });
    await tick();
    s.last.open().message("e-1", 1).message("e-2", 2);
    await tick();
    expect(got).toEqual(["e-1"]);
    expect(sub.getSnapshot().position).toBe("e-0");
    s.last.break();
    await tick();
    expect(s.last.lastEventId).toBe("e-2");
    expect(sub.getSnapshot().position).toBe("e-0");
    done[0]!();
    await tick();
    expect(got).toEqual(["e-1", "e-2"]);
    expect(sub.getSnapshot().position).toBe("e-1");
    for (const n of numbers(3, 1100)) (n === 3 ? s.last.open("e-2") : s.last).message(`e-${n}`, n);
    await tick();
    expect(s.last.unread).toBeGreaterThan(0);
    sub.close();
  });

  test("an iteration that waits does not switch off the limit when it is onMessage that is slow", async () => {
    const s = server();
    const { sub } = follow(s, { onMessage: () => new Promise(() => undefined) });
    loop(sub);
    await tick();
    s.last.open().message("e-1", 1);
    await tick();
    for (const n of numbers(2, 1100)) s.last.message(`e-${n}`, n);
    await tick();
    expect(s.last.unread).toBeGreaterThan(0);
    sub.close();
  });

  test("onMessage and the iteration both get each message", async () => {
    const s = server();
    const { sub, got } = follow(s);
    const state = loop(sub);
    await tick();
    s.last.open().message("e-1", 1).message("e-2", 2);
    await tick();
    expect([got, state.got]).toEqual([
      [1, 2],
      [1, 2],
    ]);
    sub.close();
  });

  test("with onMessage, or with a listener, nobody has to iterate", async () => {
    const s = server();
    const { sub } = follow(s);
    const store = iterable(s, { token: "other" });
    store.subscribe(() => undefined);
    await tick();
    for (const request of s.requests) {
      request.open();
      for (const n of numbers(1, 1100)) request.message(`e-${n}`, n);
    }
    await tick();
    for (const each of [sub, store]) {
      expect(each.getSnapshot().position).toBe("e-1100");
      each.close();
    }
    expect(s.requests).toHaveLength(2);
  });

  test("a listener that comes later sets free what waits", async () => {
    const s = server();
    const sub = iterable(s);
    await tick();
    s.last.open().message("e-1", 1).message("e-2", 2);
    await tick();
    expect(sub.getSnapshot().last).toMatchObject({ data: 1 });
    sub.subscribe(() => undefined);
    await tick();
    expect(sub.getSnapshot()).toMatchObject({ last: { data: 2 }, position: "e-2" });
    sub.close();
  });

  test("throws the error that the subscription ended with, after what waited", async () => {
    const s = server();
    const sub = iterable(s);
    await tick();
    s.last.open().message("e-1", 1).message("e-2", 2).close(4401, "token_revoked");
    await tick();
    expect(sub.getSnapshot().status).toBe("closed");
    const state = loop(sub);
    await tick();
    expect(state).toMatchObject({ got: [1, 2], ended: true, error: expect.any(SluiceError) as unknown });
    expect(state.error).toMatchObject({ code: 4401 });
  });

  test("a refusal ends a loop that waits", async () => {
    const s = server();
    const state = loop(iterable(s));
    await tick();
    s.last.refuse(403, "forbidden");
    await tick();
    expect(state).toMatchObject({ got: [], ended: true, error: { code: "forbidden", status: 403 } });
  });

  test("close() ends a loop that waits, without an error", async () => {
    const s = server();
    const sub = iterable(s);
    const state = loop(sub);
    await tick();
    s.last.open();
    await tick();
    sub.close();
    await tick();
    expect(state).toEqual({ got: [], ended: true, error: undefined });
  });

  test("after close() there is nothing more, even of what waits", async () => {
    const s = server();
    const sub = iterable(s);
    await tick();
    s.last.open().message("e-1", 1).message("e-2", 2);
    await tick();
    sub.close();
    const state = loop(sub);
    await tick();
    expect(state).toEqual({ got: [], ended: true, error: undefined });
  });

  test("close() within the loop ends it after that message", async () => {
    const s = server();
    const sub = iterable(s);
    const state = loop(sub, () => sub.close());
    await tick();
    s.last.open().message("e-1", 1).message("e-2", 2);
    await tick();
    expect(state).toEqual({ got: [1], ended: true, error: undefined });
  });

  test("after close() the position is that of the last message that was handed over", async () => {
    const s = server();
    const sub = iterable(s);
    loop(sub, () => sub.close());
    const slow = follow(s, { onMessage: () => new Promise((resolve) => setTimeout(resolve, 100)), token: "another" });
    await tick();
    for (const request of s.requests) request.open().message("e-1", 1).message("e-2", 2).message("e-3", 3);
    await tick(50);
    slow.sub.close();
    await tick(1000);
    for (const each of [sub, slow.sub]) expect(["e-0", "e-1"]).toContain(each.getSnapshot().position);
  });

  test("leaving the loop closes the subscription", async () => {
    const s = server();
    const sub = iterable(s);
    const state = loop(sub, () => "break");
    await tick();
    s.last.open().message("e-1", 1).message("e-2", 2);
    await tick();
    expect(state).toEqual({ got: [1], ended: true, error: undefined });
    expect(sub.getSnapshot()).toMatchObject({ status: "closed", error: null });
    expect(s.last.left).toBe(true);
  });

  test("two loops share the messages, and both end", async () => {
    const s = server();
    const sub = iterable(s);
    const one = loop(sub);
    const two = loop(sub);
    await tick();
    s.last.open();
    for (const n of numbers(1, 10)) s.last.message(`e-${n}`, n);
    await tick();
    expect([...one.got, ...two.got].sort((a, b) => Number(a) - Number(b))).toEqual(numbers(1, 10));
    sub.close();
    await tick();
    expect([one.ended, two.ended]).toEqual([true, true]);
  });

  test("a message that breaks its schema is left out, and does not end the loop", async () => {
    const s = server();
    const text = {
      "~standard": {
        version: 1,
        vendor: "test",
        validate: (value: unknown) => (typeof value === "string" ? { value } : { issues: [{ message: "no text" }] }),
      },
    } as const;
    const typed = channel({ name: "c", topics: { t: { schema: text } } });
    const sub = subscribe({ url: "http://sluice", channel: typed, fetch: s.fetch });
    const state = loop(sub);
    await tick();
    s.last.open().message("e-1", 1).message("e-2", "two").message("e-3", 3).message("e-4", "four");
    await tick();
    expect(state).toMatchObject({ got: ["two", "four"], ended: false });
    expect(sub.getSnapshot().error).toMatchObject({ code: "invalid-message" });
    sub.close();
    await tick();
    expect(state).toMatchObject({ ended: true, error: undefined });
  });

  test("after a failure an invalid message that still waited does not replace its error", async () => {
    const s = server();
    const bad = { "~standard": { version: 1, vendor: "test", validate: () => ({ issues: [{ message: "bad" }] }) } } as const;
    const typed = channel({ name: "c", topics: { t: { schema: bad } } });
    const sub = subscribe({ url: "http://sluice", channel: typed, fetch: s.fetch });
    await tick();
    s.last.open().message("e-1", "of another topic", { topic: "u" }).message("e-2", 2).close(4403, "disconnected");
    await tick();
    const state = loop(sub);
    await tick();
    expect(state.error).toMatchObject({ code: 4403 });
    expect(sub.getSnapshot().error).toMatchObject({ code: 4403 });
  });
});
