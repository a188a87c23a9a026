import assert from "node:assert/strict";
import { test } from "node:test";
import { createParser } from "../sse.js";

/** Parses a stream that comes in pieces and returns what was handed out. */
function parse(pieces) {
  const out = [];
  const parser = createParser({
    onEvent: (event) => out.push([event.type, event.data, event.lastEventId]),
    onRetry: (ms) => out.push(["retry", ms]),
  });
  for (const piece of pieces) parser.feed(piece);
  return out;
}

const cases = [
  { name: "type, data and id", text: "id: 1\nevent: status\ndata: {}\n\n", want: [["status", "{}", "1"]] },
  { name: "no type is message", text: "data: a\n\n", want: [["message", "a", ""]] },
  { name: "data over several lines", text: "data: a\ndata:\ndata:  b\n\n", want: [["message", "a\n\n b", ""]] },
  { name: "only one space is taken off", text: "data:a\n\ndata:  b\n\n", want: [["message", "a", ""], ["message", " b", ""]] },
  { name: "an id counts for later events", text: "id: 1\ndata: a\n\ndata: b\n\n", want: [["message", "a", "1"], ["message", "b", "1"]] },
  { name: "an empty id resets it", text: "id: 1\ndata: a\n\nid\ndata: b\n\n", want: [["message", "a", "1"], ["message", "b", ""]] },
  { name: "an id with NUL is ignored", text: "id: 1\n\nid: 2\0\ndata: a\n\n", want: [["message", "a", "1"]] },
  { name: "a type does not last", text: "event: x\n\ndata: a\n\n", want: [["message", "a", ""]] },
  { name: "empty data is an event", text: "data\n\n", want: [["message", "", ""]] },
  { name: "an unfinished event is none", text: "id: 9\ndata: a\n", want: [] },
  { name: "comments say nothing", text: ":\n: x\ndata: a\n:\n\n", want: [["message", "a", ""]] },
  { name: "retry is digits only", text: "retry: 250\nretry: 1s\nretry:\nretry: -1\n", want: [["retry", 250]] },
  { name: "unknown fields are ignored", text: "Data: x\n data: y\nfoo\ndata: a\n\n", want: [["message", "a", ""]] },
  { name: "CR ends a line", text: "data: a\rdata: b\r\rdata: c\r\r", want: [["message", "a\nb", ""], ["message", "c", ""]] },
  { name: "CRLF ends one line", text: "data: a\r\ndata: b\r\n\r\n", want: [["message", "a\nb", ""]] },
  { name: "all line ends in one stream", text: "data: a\r\ndata: b\n\rdata: c\r\n\n", want: [["message", "a\nb", ""], ["message", "c", ""]] },
];

for (const { name, text, want } of cases) {
  test(`parser: ${name}`, () => {
    assert.deepEqual(parse([text]), want, "whole");
    assert.deepEqual(parse([...text]), want, "one character at a time");
    for (let cut = 1; cut < text.length; cut++) {
      assert.deepEqual(parse([text.slice(0, cut), "", text.slice(cut)]), want, `cut at ${cut}`);
    }
  });
}

test("parser: a line without an end is not collected for ever", () => {
  const parser = createParser({ onEvent() {}, onRetry() {} });
  assert.throws(() => {
    for (let i = 0; i < 100; i++) parser.feed("x".repeat(100_000));
  }, RangeError);
});
