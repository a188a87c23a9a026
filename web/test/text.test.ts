import { channel, staticSchema, subscribe, text, type TextStream } from "../src/index.js";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { follow, iterable, type Options } from "./support/follow.js";
import { random } from "./support/random.js";
import { server, tick, type Exchange } from "./support/server.js";

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0);
});
afterEach(() => {
  vi.useRealTimers();
});

const start = (e: Exchange, n: number, id = "s"): Exchange => e.message(`e-${n}`, {}, { kind: "datastream-start", stream_id: id });
const chunk = (e: Exchange, n: number, text: string, id = "s"): Exchange => e.message(`e-${n}`, text, { kind: "chunk", stream_id: id });
const finish = (e: Exchange, n: number, reason = "complete", id = "s"): Exchange =>
  e.message(`e-${n}`, { reason }, { kind: "datastream-end", stream_id: id });

function followText(options: Options = {}) {
  const s = server();
  const told: string[] = [];
  const all: TextStream[] = [];
  const note = (sign: string, message: TextStream, more = ""): void => {
    all.push(message);
    told.push(`${sign}${message.stream_id} ${JSON.stringify(message.text)} ${message.state}${message.partial ? " partial" : ""}${more}`);
  };
  const { sub } = follow(s, {
    onMessage: (message) => (message.kind === "stream" ? note("", message) : told.push(message.id)),
    onChunk: (message, text) => note("+", message, ` ${JSON.stringify(text)}`),
    ...options,
  });
  return { s, sub, told, all };
}

/** Collects an iteration over chunks. */
function collect(chunks: AsyncIterable<string>, step?: () => Promise<unknown>): { got: string[]; ended: boolean } {
  const state = { got: [] as string[], ended: false };
  void (async () => {
    for await (const each of chunks) {
      state.got.push(each);
      await step?.();
    }
    state.ended = true;
  })();
  return state;
}

describe("a streamed text", () => {
  test("is one message that grows", async () => {
    const { s, sub, told, all } = followText();
    await tick();
    start(s.last.open(), 1);
    await tick();
    chunk(s.last, 2, "Hel");
    chunk(s.last, 3, "lo 🙂");
    await tick();
    expect(sub.getSnapshot()).toMatchObject({ position: "e-3", last: { text: "Hello 🙂", state: "open", id: "e-3" } });
    finish(s.last, 4);
    await tick();
    expect(told).toEqual(['s "" open', '+s "Hel" open "Hel"', '+s "Hello 🙂" open "lo 🙂"', '+s "Hello 🙂" complete ""']);
    expect(all[3]).toMatchObject({ id: "e-4", channel: "c", topic: "t", kind: "stream", stream_id: "s" });
    expect(all[3]).not.toHaveProperty("data");
    expect(all.map(({ text }) => text)).toEqual(["", "Hel", "Hello 🙂", "Hello 🙂"]);
    expect(sub.getSnapshot()).toMatchObject({ position: "e-4", last: all[3], byTopic: { t: all[3] } });
    sub.close();
  });

  test("names its publisher", async () => {
    const { s, sub, all } = followText();
    await tick();
    const fields = { stream_id: "s", sub: "user-7" };
    s.last.open().message("e-1", {}, { ...fields, kind: "datastream-start" });
    s.last.message("e-2", "a", { ...fields, kind: "chunk", offset: 0 });
    await tick();
    expect(all.map((message) => message.sub)).toEqual(["user-7", "user-7"]);
    expect(all[1]).not.toHaveProperty("offset"); // of a piece
    sub.close();
  });

  test("that is aborted says so", async () => {
    const { s, sub, told } = followText();
    await tick();
    finish(chunk(start(s.last.open(), 1), 2, "a"), 3, "aborted");
    await tick();
    expect(told.at(-1)).toBe('+s "a" aborted ""');
    sub.close();
  });

  test("whose beginning was not received is partial", async () => {
    const { s, sub, told } = followText();
    await tick();
    finish(chunk(chunk(s.last.open(), 2, "b"), 3, "c"), 4);
    finish(s.last, 5, "complete", "z");
    await tick();
    expect(told).toEqual(['s "b" open partial', '+s "bc" open partial "c"', '+s "bc" complete partial ""', 'z "" complete partial']);
    sub.close();
  });

  test("goes on over a reconnect", async () => {
    const { s, sub, told } = followText();
    await tick();
    chunk(start(s.last.open(), 1), 2, "a");
    await tick();
    s.last.break();
    await tick();
    expect(s.last.lastEventId).toBe("e-2");
    finish(chunk(s.last.open("e-2"), 3, "b"), 4);
    await tick();
    expect(told.at(-1)).toBe('+s "ab" complete ""');
    sub.close();
  });

  test("does not mix with others", async () => {
    const { s, sub, told } = followText();
    await tick();
    start(start(s.last.open(), 1, "x"), 2, "y");
    chunk(chunk(chunk(s.last, 3, "1", "x"), 4, "2", "y"), 5, "3", "x");
    s.last.message("e-6", 1);
    finish(finish(s.last, 7, "complete", "x"), 8, "complete", "y");
    await tick();
    expect(told).toEqual([
      'x "" open',
      'y "" open',
      '+x "1" open "1"',
      '+y "2" open "2"',
      '+x "13" open "3"',
      "e-6",
      '+x "13" complete ""',
      '+y "2" complete ""',
    ]);
    sub.close();
  });

  test("that waits to be handed over grows meanwhile, and comes once", async () => {
    const done: (() => void)[] = [];
    const told: string[] = [];
    const { s, sub } = followText({
      onMessage: (message) => {
        told.push(message.kind === "stream" ? message.text : message.id);
        return new Promise<void>((resolve) => done.push(resolve));
      },
      onChunk: (_, text) => told.push("+" + text),
    });
    await tick();
    chunk(chunk(start(s.last.open().message("e-1", 1), 2), 3, "a"), 4, "b");
    await tick();
    expect(told).toEqual(["e-1"]);
    done[0]!();
    await tick();
    expect(told).toEqual(["e-1", "ab"]);
    chunk(s.last, 5, "c");
    await tick();
    expect(told).toEqual(["e-1", "ab", "+c"]);
    sub.close();
  });

  test("its position is that of its last piece only when nothing else waits", async () => {
    const done: (() => void)[] = [];
    const { s, sub } = followText({
      onMessage: ({ kind }) => (kind === "data" ? new Promise<void>((resolve) => done.push(resolve)) : undefined),
    });
    await tick();
    chunk(start(s.last.open(), 1).message("e-2", 2), 3, "a");
    await tick();
    expect(sub.getSnapshot().position).toBe("e-1");
    done[0]!();
    await tick();
    expect(["e-2", "e-3"]).toContain(sub.getSnapshot().position);
    sub.close();
  });

  test("keeps the last Mi of characters, and is partial once it has lost its beginning", async () => {
    const { s, sub } = followText();
    await tick();
    start(s.last.open(), 1);
    const piece = "x".repeat(1 << 19);
    chunk(chunk(s.last, 2, "first" + piece), 3, piece);
    await tick();
    expect(sub.getSnapshot().last).toMatchObject({ text: "first" + piece + piece, partial: false });
    chunk(s.last, 4, piece + "last");
    await tick();
    const { text, partial } = sub.getSnapshot().last as TextStream;
    expect(text).toHaveLength(1 << 20);
    expect(text.endsWith("xlast")).toBe(true);
    expect(text.includes("first")).toBe(false);
    expect(partial).toBe(true);
    sub.close();
  });
});

describe("offsets", () => {
  const placed = (e: Exchange, n: number, text: string, offset: number): Exchange =>
    e.message(`e-${n}`, text, { kind: "chunk", stream_id: "s", offset });

  test("skip what is there already", async () => {
    const { s, sub, told } = followText();
    await tick();
    placed(start(s.last.open(), 1), 2, "Hé", 0);
    placed(s.last, 3, "Hé", 0);
    placed(s.last, 4, "él", 1);
    placed(s.last, 5, "Hél\ufefflo 🙂", 0);
    await tick();
    expect(told).toEqual([
      's "" open',
      '+s "Hé" open "Hé"',
      '+s "Hé" open ""',
      '+s "Hél" open "l"',
      '+s "Hél\ufefflo 🙂" open "\ufefflo 🙂"',
    ]);
    placed(s.last, 6, "🙂!", 10);
    await tick();
    expect(sub.getSnapshot().last).toMatchObject({ text: "Hél\ufefflo 🙂!", partial: false });
    sub.close();
  });

  test("tell that the beginning is missing, whether or not the text began before", async () => {
    for (const begun of [false, true]) {
      const { s, sub } = followText();
      await tick();
      s.last.open();
      if (begun) start(s.last, 1);
      placed(placed(s.last, 2, "the ", 500), 3, "end", 504);
      finish(s.last, 4);
      await tick();
      expect(sub.getSnapshot().last).toMatchObject({ text: "the end", partial: true, complete: true });
      sub.close();
    }
  });

  test("tell that it is not, if the first chunk is", async () => {
    const { s, sub } = followText();
    await tick();
    placed(s.last.open(), 2, "all", 0);
    await tick();
    expect(sub.getSnapshot().last).toMatchObject({ text: "all", partial: false });
    sub.close();
  });

  test("tell whether a gap has taken something", async () => {
    const { s, sub } = followText();
    await tick();
    placed(start(s.last.open(), 1), 2, "one ", 0);
    s.last.gap("e-2", "e-2", "e-5");
    await tick();
    expect(sub.getSnapshot().last).toMatchObject({ partial: true });
    placed(s.last, 5, "two ", 4);
    await tick();
    expect(sub.getSnapshot().last).toMatchObject({ text: "one two ", partial: false });
    s.last.gap("e-5", "e-5", "e-9");
    placed(s.last, 9, "four", 14);
    await tick();
    expect(sub.getSnapshot().last).toMatchObject({ text: "one two four", partial: true });
    s.last.gap("e-9", "e-9", "e-11");
    placed(s.last, 11, "!", 18);
    await tick();
    expect(sub.getSnapshot().last).toMatchObject({ text: "one two four!", partial: true });
    sub.close();
  });

  test("make a text right whatever is sent twice, over any number of connections", async () => {
    for (let seed = 1; seed <= 30; seed++) {
      const { below, chance, pick } = random(seed);
      const { s, sub, all } = followText({ reconnectMinMs: 0 });
      await tick();
      const whole = Array.from({ length: 60 }, () => pick(["a", "é", "€", "🙂", "\ufeff", "\0"]));
      const bytesTo = (at: number): number => new TextEncoder().encode(whole.slice(0, at).join("")).length;
      start(s.last.open(), 1);
      let seq = 1;
      for (let there = 0; there < whole.length;) {
        const from = below(there + 1);
        const to = Math.min(whole.length, from + 1 + below(20));
        placed(s.last, ++seq, whole.slice(from, to).join(""), bytesTo(from));
        there = Math.max(there, to);
        if (chance(0.8)) continue;
        await tick();
        s.last.break();
        await tick(10);
        s.last.open(`e-${seq}`);
      }
      finish(s.last, ++seq);
      await tick();
      expect(all.at(-1)).toMatchObject({ text: whole.join(""), complete: true, partial: false });
      sub.close();
    }
  });
});

test("texts of one stream id in two topics are not mixed up", async () => {
  const { s, told, sub } = followText();
  await tick();
  s.last.open();
  const places = [{}, { topic: "u" }];
  const say = (n: number, data: unknown, kind: string): void =>
    places.forEach((place, i) =>
      s.last.message(`e-${n + i}`, kind === "chunk" ? `${String(data)}${i}` : data, { kind, stream_id: "s", ...place }),
    );
  say(1, {}, "datastream-start");
  say(4, "a", "chunk");
  say(7, "b", "chunk");
  say(10, { reason: "complete" }, "datastream-end");
  await tick();
  expect(told.slice(-2)).toEqual([0, 1].map((i) => `+s "a${i}b${i}" complete ""`));
  sub.close();
});

describe("a text that starts over", () => {
  test("after it was superseded is delivered again", async () => {
    const { s, sub, told } = followText();
    await tick();
    chunk(start(s.last.open(), 1), 2, "first try");
    finish(s.last, 3, "superseded");
    await tick();
    expect(sub.getSnapshot().last).toMatchObject({ text: "first try", complete: false, state: "superseded" });
    finish(chunk(start(s.last, 4), 5, "second"), 6);
    await tick();
    expect(told.slice(2)).toEqual(['+s "first try" superseded ""', 's "" open', '+s "second" open "second"', '+s "second" complete ""']);
    expect(sub.getSnapshot().byTopic["t"]).toMatchObject({ text: "second", complete: true });
    sub.close();
  });

  test("without an end leaves nobody waiting for the first one", async () => {
    const { s, sub, told, all } = followText();
    await tick();
    chunk(start(s.last.open(), 1), 2, "first");
    await tick();
    const reading = collect(all[0]!.chunks);
    await tick();
    finish(chunk(start(s.last, 3), 4, "second"), 5);
    await tick();
    expect(reading).toEqual({ got: ["first"], ended: true });
    expect(told.at(-1)).toBe('+s "second" complete ""');
    sub.close();
  });
});

describe("a channel that says which topics are texts", () => {
  const known = channel({ name: "c", topics: { draft: text(), status: { schema: staticSchema<number>() } } });
  const write = (e: Exchange, n: number, topic: string): void => {
    const fields = { topic, stream_id: topic };
    e.message(`e-${n}`, {}, { ...fields, kind: "datastream-start" });
    e.message(`e-${n + 1}`, "a", { ...fields, kind: "chunk", offset: 0 });
    e.message(`e-${n + 2}`, { reason: "complete" }, { ...fields, kind: "datastream-end" });
  };
  function listen(options: { validate?: boolean } = {}) {
    const s = server();
    const got: unknown[] = [];
    const invalid: unknown[] = [];
    const sub = subscribe({
      url: "http://sluice",
      channel: known,
      fetch: s.fetch,
      onMessage: (message) => got.push([message.topic, message.kind]),
      onChunk: (message, chunk) => chunk && got.push(`${message.topic} ${chunk}`),
      onInvalid: (error, { topic, kind }) => invalid.push([error.code, topic, kind]),
      ...options,
    });
    return { s, got, invalid, sub };
  }

  test("delivers what is of the topic's kind", async () => {
    const { s, got, invalid, sub } = listen();
    await tick();
    write(s.last.open(), 1, "draft");
    s.last.message("e-4", 7, { topic: "status" });
    await tick();
    expect(got).toEqual([["draft", "stream"], "draft a", ["status", "data"]]);
    const { draft, status } = sub.getSnapshot().byTopic;
    expect([draft?.text, draft?.complete, status?.data]).toEqual(["a", true, 7]);
    expect(invalid).toEqual([]);
    sub.close();
  });

  test("refuses the rest, once for each text", async () => {
    const { s, got, invalid, sub } = listen();
    await tick();
    write(s.last.open(), 1, "status");
    s.last.message("e-4", "whole", { topic: "draft" });
    await tick();
    expect(got).toEqual([]);
    expect(sub.getSnapshot().byTopic).toEqual({});
    expect(invalid).toEqual([
      ["invalid-message", "status", "datastream-start"],
      ["invalid-message", "draft", "data"],
    ]);
    expect(sub.getSnapshot()).toMatchObject({ position: "e-4", error: { code: "invalid-message" } });
    sub.close();
  });

  test("delivers everything if nothing is to be validated", async () => {
    const { s, got, invalid, sub } = listen({ validate: false });
    await tick();
    write(s.last.open(), 1, "status");
    s.last.message("e-4", "whole", { topic: "draft" });
    await tick();
    expect(got).toEqual([["status", "stream"], "status a", ["draft", "data"]]);
    expect(invalid).toEqual([]);
    sub.close();
  });
});

describe("a gap within a text", () => {
  test("makes it partial, at once and for good, and it goes on", async () => {
    const { s, sub, told } = followText();
    await tick();
    chunk(start(s.last.open(), 1), 2, "one ");
    chunk(start(s.last, 3, "z"), 4, "whole", "z");
    s.last.gap("e-4", "e-4", "e-9");
    await tick();
    expect(sub.getSnapshot().byTopic["t"]).toMatchObject({ partial: true });
    finish(chunk(s.last, 9, "three"), 10);
    await tick();
    expect(told.at(-1)).toBe('+s "one three" complete partial ""');
    sub.close();
  });

  test("of another channel does not", async () => {
    const { s, sub, told } = followText({ channel: undefined, channels: ["c", "d"] });
    await tick();
    chunk(start(s.last.open(), 1), 2, "a");
    s.last.gap("e-2", "e-2", "e-9", "d");
    chunk(s.last, 9, "b");
    await tick();
    expect(told.at(-1)).toBe('+s "ab" open "b"');
    sub.close();
  });

  test("of a pattern tears the texts of all its channels", async () => {
    const { s, sub, told } = followText({ channel: "*" });
    await tick();
    chunk(start(s.last.open(), 1), 2, "a");
    s.last.gap("e-2", "e-2", "e-9", "*");
    chunk(s.last, 9, "b");
    await tick();
    expect(told.at(-1)).toBe('+s "ab" open partial "b"');
    sub.close();
  });

  test("may have taken its end, so who reads its chunks is not left waiting", async () => {
    const { s, sub, all } = followText();
    await tick();
    chunk(start(s.last.open(), 1), 2, "a");
    await tick();
    const reading = collect(all[0]!.chunks);
    await tick();
    expect(reading).toEqual({ got: ["a"], ended: false });
    s.last.gap("e-2", "e-2", null, "c", "restarted").message("new-1", 1);
    await tick();
    expect(reading).toEqual({ got: ["a"], ended: true });
    sub.close();
  });

  test("does not stop a loop that reads texts within it", async () => {
    const s = server();
    const sub = iterable(s);
    const got: string[] = [];
    void (async () => {
      for await (const message of sub) {
        if (message.kind === "data") got.push(message.id);
        else for await (const each of message.chunks) got.push(each);
      }
    })();
    await tick();
    chunk(start(s.last.open(), 1), 2, "a").gap("e-2", "e-2", "e-9").message("e-9", 9);
    await tick();
    expect(got).toEqual(["a", "e-9"]);
    sub.close();
  });
});

describe("chunks", () => {
  test("gives the text piece by piece to each who reads, from its beginning to its end", async () => {
    const { s, sub, all } = followText();
    await tick();
    start(s.last.open(), 1);
    await tick();
    const first = collect(all[0]!.chunks);
    chunk(s.last, 2, "a");
    await tick();
    chunk(s.last, 3, "b");
    await tick();
    const later = collect(all.at(-1)!.chunks);
    await tick();
    finish(chunk(s.last, 4, "c"), 5);
    await tick();
    expect(first).toEqual({ got: ["a", "b", "c"], ended: true });
    expect(later).toEqual({ got: ["ab", "c"], ended: true });
    expect(collect(all[0]!.chunks).got).toEqual([]);
    const after = collect(all[0]!.chunks);
    await tick();
    expect(after).toEqual({ got: ["abc"], ended: true });
    sub.close();
  });

  test("slow readers get what has come together, and nothing is lost", async () => {
    const { s, sub, all } = followText();
    await tick();
    start(s.last.open(), 1);
    await tick();
    const fast = collect(all[0]!.chunks);
    const slow = collect(all[0]!.chunks, () => new Promise((resolve) => setTimeout(resolve, 1000)));
    for (let n = 2; n < 12; n++) {
      chunk(s.last, n, String(n % 10));
      await tick(300);
    }
    finish(s.last, 12);
    await tick(5000);
    expect(fast.got).toEqual(Array.from("2345678901"));
    expect(slow.got.join("")).toBe("2345678901");
    expect(slow.got.length).toBeLessThan(6);
    expect([fast.ended, slow.ended]).toEqual([true, true]);
    sub.close();
  });

  test("gives what comes after a Mi of characters, too", async () => {
    const { s, sub, all } = followText();
    await tick();
    start(s.last.open(), 1);
    await tick();
    const reading = collect(all[0]!.chunks);
    const piece = "x".repeat(700_000);
    for (let n = 2; n < 5; n++) {
      chunk(s.last, n, piece);
      await tick();
    }
    chunk(s.last, 5, "last");
    await tick();
    expect(reading.got.map((each) => each.length)).toEqual([700_000, 700_000, 700_000, 4]);
    sub.close();
  });

  test("ends with the subscription", async () => {
    const { s, sub, all } = followText();
    await tick();
    chunk(start(s.last.open(), 1), 2, "a");
    await tick();
    const reading = collect(all[0]!.chunks);
    await tick();
    sub.close();
    await tick();
    expect(reading).toEqual({ got: ["a"], ended: true });
  });

  test("ends when the server closes the stream for good", async () => {
    const { s, all } = followText();
    await tick();
    chunk(start(s.last.open(), 1), 2, "a");
    await tick();
    const reading = collect(all[0]!.chunks);
    s.last.close(4403, "disconnected");
    await tick();
    expect(reading).toEqual({ got: ["a"], ended: true });
  });

  test("within the loop over messages does not hold up the text for which it waits, even with thousands of other messages between", async () => {
    const s = server();
    const sub = iterable(s);
    const got: string[] = [];
    const loop = (async () => {
      for await (const message of sub) {
        if (message.kind === "data") got.push(message.id);
        else for await (const each of message.chunks) got.push(each);
      }
    })();
    let seq = 0;
    const log: ((e: Exchange, n: number) => Exchange)[] = [start];
    for (let part = 0; part < 4; part++) {
      for (let i = 0; i < 1100; i++) log.push((e, n) => e.message(`e-${n}`, n));
      log.push((e, n) => chunk(e, n, `part ${part}`));
    }
    log.push((e, n) => finish(e, n));
    const serve = (from: number): void => {
      s.last.open(`e-${from}`).together((exchange) => {
        for (seq = from; seq < log.length; seq++) log[seq]!(exchange, seq + 1);
      });
    };
    await tick();
    serve(0);
    for (let i = 0; i < 60 && sub.getSnapshot().position !== `e-${log.length}`; i++) {
      const before = s.requests.length;
      await tick(10);
      if (s.requests.length > before) serve(Number(s.last.lastEventId!.slice(2)));
    }
    expect(got.filter((each) => !each.startsWith("e-")).join("")).toBe("part 0part 1part 2part 3");
    const ids = got.filter((each) => each.startsWith("e-"));
    expect([ids.length, new Set(ids).size]).toEqual([4400, 4400]);
    sub.close();
    await loop;
  });

  test("which a second gap tears is given up, so that lost ends do not fill the memory: what comes then begins anew", async () => {
    const { s, sub, all } = followText();
    await tick();
    chunk(start(s.last.open(), 1), 2, "one");
    s.last.gap("e-2", "e-2", "e-4");
    chunk(s.last, 4, "two");
    s.last.gap("e-4", "e-4", "e-6");
    chunk(s.last, 6, "three");
    await tick();
    expect(all.map(({ text }) => text)).toContain("onetwo");
    expect(all.at(-1)).toMatchObject({ text: "three", partial: true });
    sub.close();
  });
});
