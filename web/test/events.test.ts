import { parser, type WireEvent } from "../src/events.js";
import { describe, expect, test, vi } from "vitest";
import { random } from "./support/random.js";

function parse(...pieces: string[]): WireEvent[] {
  const events: WireEvent[] = [];
  const feed = parser((event) => events.push(event));
  pieces.forEach(feed);
  return events;
}

const comment = { type: ":", data: "{}", id: "" };

describe("parser", () => {
  test.each([
    ["an event", "id: e-1\nevent: t\ndata: 1\n\n", [{ type: "t", data: "1", id: "e-1" }]],
    ["no space after the colon", "id:e-1\nevent:t\ndata:1\n\n", [{ type: "t", data: "1", id: "e-1" }]],
    ["only one space is left out", "event: t\ndata:  1\n\n", [{ type: "t", data: " 1", id: "" }]],
    ["a colon in the value", 'event: t\ndata: {"a":": b"}\n\n', [{ type: "t", data: '{"a":": b"}', id: "" }]],
    [
      "an id is of its own event only",
      "id: e-1\ndata: 1\n\ndata: 2\n\n",
      [
        { type: "", data: "1", id: "e-1" },
        { type: "", data: "2", id: "" },
      ],
    ],
    ["a heartbeat", ":\n", [comment]],
    ["a heartbeat before an event", ":\nid: e-1\nevent: t\ndata: 1\n\n", [comment, { type: "t", data: "1", id: "e-1" }]],
    ["a heartbeat within an event", "id: e-1\nevent: t\n: keep\ndata: 1\n\n", [comment, { type: "t", data: "1", id: "e-1" }]],
    ["retry and unknown fields", "retry: 1000\nfoo: bar\nevent: t\ndata: 1\n\n", [{ type: "t", data: "1", id: "" }]],
    ["no data, no event", "id: e-1\nevent: t\n\nevent: u\ndata: 2\n\n", [{ type: "u", data: "2", id: "" }]],
    [
      "separators of lines in Unicode are none here",
      'data: "a\u2028b\u2029c\u0085d"\n\n',
      [{ type: "", data: '"a\u2028b\u2029c\u0085d"', id: "" }],
    ],
    ["empty lines", "\n\n\ndata: 1\n\n\n\n", [{ type: "", data: "1", id: "" }]],
  ])("%s", (_, text, events) => {
    expect(parse(text)).toEqual(events);
  });

  test("an event that has not ended has no effect", () => {
    const text = "id: e-12\nevent: t\ndata: 1\n\n";
    for (let at = 0; at < text.length; at++) expect(parse(text.slice(0, at)), String(at)).toEqual([]);
  });

  test("it makes no difference where the text is cut", () => {
    const text =
      'retry: 1\nid: e-0\nevent: $open\ndata: {"id":"e-0"}\n\n:\nid: e-1\nevent: t\ndata: {"data":"é 日本 🙂"}\n\n:\n:\nid: e-2\nevent: t\ndata: 2\n\n';
    const whole = parse(text);
    expect(whole).toHaveLength(6);
    for (let at = 0; at <= text.length; at++) expect(parse(text.slice(0, at), text.slice(at)), `cut at ${at}`).toEqual(whole);
    expect(parse(...Array.from(text))).toEqual(whole);
    const rand = random(1);
    for (let round = 0; round < 200; round++) {
      const pieces: string[] = [];
      for (let at = 0; at < text.length;) pieces.push(text.slice(at, (at += rand.below(30))));
      expect(parse(...pieces), JSON.stringify(pieces)).toEqual(whole);
    }
  });

  test("a long line in small pieces costs what it is long, and not its square", () => {
    const original = Object.getOwnPropertyDescriptor(String.prototype, "split")!.value as (this: string, at: string) => string[];
    let looked = 0; // through, in units
    vi.spyOn(String.prototype, "split").mockImplementation(function (this: string, at: unknown) {
      looked += this.length;
      return original.call(this, at as string);
    });
    const events: WireEvent[] = [];
    const feed = parser((event) => events.push(event));
    feed("data: ");
    for (let i = 0; i < 1 << 13; i++) feed("12345678");
    feed("\n\n");
    vi.restoreAllMocks();
    expect(events[0]!.data).toHaveLength(1 << 16);
    expect(looked).toBeLessThan(1.1 * (1 << 16));
  });

  test("a line may have 4 Mi units and not more", () => {
    const half = "x".repeat(2 << 20);
    expect(parse("data: " + half, half.slice(6), "\n\n")[0]!.data).toHaveLength((4 << 20) - 6);
    expect(() => parse("data: " + half, half)).toThrow(expect.objectContaining({ code: "too-large" }));
  });
});
