import assert from "node:assert/strict";
import { test } from "vitest";
import { memberText, pretty } from "../../dashboard/debugger/json.js";

test("memberText returns a value as it was written", () => {
  const values = [
    "1.0",
    "9007199254740993",
    "1e400",
    "null",
    "true",
    '""',
    '"a,}b"',
    '"\\"]"',
    "[]",
    "{}",
    '[1,{"data":2}]',
    '{"data":{"x":"}"}}',
  ];
  for (const value of values) {
    assert.equal(memberText(`{"id":"k-1","data":${value},"run_id":"r"}`, "data"), value, "in the middle");
    assert.equal(memberText(`{"data":${value},"id":"k-1"}`, "data"), value, "first");
    assert.equal(memberText(`{"id":"data","data":${value}}`, "data"), value, "last");
  }
});

test("memberText looks at the outermost members only", () => {
  assert.equal(memberText('{"a":{"data":1},"b":["data"],"c":"data"}', "data"), "");
});

test("pretty keeps every token", () => {
  const text = '{"a":[1.0,9007199254740993,{"b":"x: {\\"y\\"}, [z]"}],"c":{},"d":[],"e":null}';
  const want = `{
  "a": [
    1.0,
    9007199254740993,
    {
      "b": "x: {\\"y\\"}, [z]"
    }
  ],
  "c": {},
  "d": [],
  "e": null
}`;
  assert.equal(pretty(text), want);
});

test("pretty shows a string as what it says", () => {
  assert.equal(pretty('"one\\n\\u2014 two"'), "one\n— two");
});
