import assert from "node:assert/strict";
import { describe, test } from "vitest";
import { ago, bytes, clock, duration, millis, rate } from "../../dashboard/base/format.js";
import { linkTo, routeOf } from "../../dashboard/base/route.js";
import { addSample, gapsOf, latest, levels, rates, SPAN_MS, type Overview, type Sample } from "../../dashboard/base/samples.js";
import { addNodes, type NodeSummary } from "../../dashboard/base/system.js";
import { createStore } from "../../dashboard/base/store.js";
import { moved, scrollFor, windowOf } from "../../dashboard/channels/window.js";
import { documentOf, faultIn, indexOf, isJSON } from "../../dashboard/definitions/draft.js";
import { decode, jtiOf } from "../../dashboard/tokens/decode.js";
import { grantsOf, textOf } from "../../dashboard/tokens/grants.js";

test("numbers are short, and keep what matters", () => {
  assert.deepEqual([0, 0.44, 5, 12.6, 9999, 123_456, 2_500_000].map(rate), ["0", "0.4", "5", "13", "9,999", "123 k", "2.5 M"]);
  assert.deepEqual([0, 1023, 1536, 200 * 1024, 3 * 1024 ** 3].map(bytes), ["0 B", "1,023 B", "1.5 KiB", "200 KiB", "3 GiB"]);
  assert.deepEqual([0.04, 0.44, 12.4, 1240].map(millis), ["0 ms", "0.4 ms", "12 ms", "1.2 s"]);
  assert.deepEqual([0, 59.9, 61, 3600, 90_061, -5].map(duration), ["0 s", "59 s", "1 min 1 s", "1 h", "1 d 1 h", "0 s"]);
  assert.deepEqual(
    ["2026-01-01T00:00:00Z", "2025-12-31T23:59:48Z", "never"].map((t) => ago(t, Date.parse("2026-01-01T00:00:00Z"))),
    ["now", "12 s ago", ""],
  );
  const now = new Date(2026, 0, 2, 12, 0, 0).getTime();
  assert.deepEqual([clock(now, now), clock(now - 86_400_000, now), clock("never")], ["12:00:00", "2026-01-01 12:00:00", ""]);
});

describe("route", () => {
  test("links lead to where they say", () => {
    for (const item of ["", "pipeline:run_42", "a/b c#%", "日本"]) {
      assert.deepEqual(routeOf(linkTo("channels", item)), { section: "channels", item });
    }
  });
  test("what is not a section is the overview, what is not a route is the debugger's", () => {
    assert.equal(routeOf("").section, "overview");
    assert.equal(routeOf("#/nowhere").section, "overview");
    assert.equal(routeOf("#token=x&channel=c").section, "debugger");
    assert.deepEqual(routeOf("#/channels/%E0%A4%A"), { section: "channels", item: "" });
  });
});

test("nodes have a rate once they have answered twice", () => {
  const node = (id: string, published: number, second: number): NodeSummary =>
    ({ id, published, at: new Date(second * 1000).toISOString() }) as unknown as NodeSummary;
  const first = addNodes([], [node("a", 10, 1), node("b", 5, 1)]);
  assert.deepEqual(
    first.map(({ rate }) => rate),
    [undefined, undefined],
  );
  const second = addNodes(first, [node("a", 30, 3), node("b", 5, 1), node("c", 7, 3)]);
  assert.deepEqual(
    second.map(({ rate }) => rate),
    [10, undefined, undefined],
    "b has not answered since",
  );
  assert.deepEqual(
    addNodes(second, [node("a", 30, 3)]).map(({ rate }) => rate),
    [10],
    "as before",
  );
});

describe("samples", () => {
  const sample = (at: number, published: number, started = "a"): Sample => ({
    at,
    overview: { node: { started_at: started }, published, gaps: { overrun: 1, expired: 2 } } as unknown as Overview,
  });
  const all = (list: Sample[]): readonly Sample[] => list.reduce<readonly Sample[]>(addSample, []);

  test("rates are per second, however far apart the samples are", () => {
    const samples = all([sample(1000, 10), sample(2000, 30), sample(4000, 50)]);
    assert.deepEqual(
      rates(samples, (o) => o.published).map(({ value }) => value),
      [20, 10],
    );
    assert.equal(latest(levels(samples, (o) => o.published)), 50);
    assert.equal(latest([]), 0);
    assert.equal(gapsOf(samples[0]!.overview), 3);
  });
  test("a node that starts anew begins anew", () => {
    assert.equal(all([sample(1000, 10), sample(2000, 0, "b")]).length, 1);
  });
  test("what no plot shows is dropped, and nothing counts twice", () => {
    const samples = all(Array.from({ length: 200 }, (_, i) => sample(i * 1000, i)));
    assert.ok(samples.length * 1000 >= SPAN_MS && samples.length < 70, `${samples.length} samples`);
    assert.equal(addSample(samples, samples.at(-1)!).length, samples.length);
  });
});

describe("a long list", () => {
  test("only what is seen is drawn, and some around it", () => {
    assert.deepEqual(windowOf(0, 360, 36, 100_000), { first: 0, end: 18 });
    assert.deepEqual(windowOf(36_000, 360, 36, 100_000), { first: 992, end: 1018 });
    assert.deepEqual(windowOf(36_000, 360, 36, 12), { first: 11, end: 12 });
    assert.deepEqual(windowOf(0, 360, 36, 0), { first: 0, end: 0 });
  });
  test("keys move within it", () => {
    const to = (key: string, from: number) => moved(key, from, 100, 10);
    assert.deepEqual(
      [to("ArrowDown", 5), to("ArrowUp", 0), to("PageDown", 95), to("PageUp", 15), to("Home", 9), to("End", 9), to("a", 9)],
      [6, 0, 99, 5, 0, 99, null],
    );
  });
  test("a row is scrolled to only if it is not seen", () => {
    assert.deepEqual([scrollFor(5, 0, 360, 36), scrollFor(20, 0, 360, 36), scrollFor(5, 720, 360, 36)], [0, 396, 180]);
  });
});

test("grants are lines", () => {
  const text = "pipeline:* status tokens\nuser:7 *";
  const grants = [
    { channel: "pipeline:*", topics: ["status", "tokens"] },
    { channel: "user:7", topics: ["*"] },
  ];
  assert.deepEqual(grantsOf(" pipeline:*  status, tokens \n\nuser:7\n"), grants);
  assert.equal(textOf(grants), text);
  assert.deepEqual(grantsOf(textOf(grants)), grants);
});

describe("tokens", () => {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const token = `${part({ alg: "EdDSA" })}.${part({ sub: "Zoë", jti: "j-1" })}.c2ln`;
  test("are read as they are", () => {
    assert.deepEqual(decode(` ${token}\n`), { header: { alg: "EdDSA" }, claims: { sub: "Zoë", jti: "j-1" } });
    assert.equal(jtiOf(token), "j-1");
    assert.equal(jtiOf(" j-2 "), "j-2");
    assert.equal(jtiOf(`${part({})}.${part({})}.x`), "");
  });
  test("and what is none is told", () => {
    for (const text of ["", "a.b", "a.b.c", `${part([])}.${part({})}.x`, `${part({})}.%%%.x`])
      assert.equal(typeof decode(text), "string", text);
  });
});

test("what begins with a brace must be JSON before the server is asked", () => {
  for (const text of ["{}", "strict: true", "[]", "# nothing"]) assert.equal(faultIn(text), "", text);
  assert.match(faultIn(" {"), /^Not JSON yet: /);
  assert.match(faultIn(" \n"), /^The definition is empty/);
  assert.deepEqual([" {", "a: {}", ""].map(isJSON), [true, false, false]);
  assert.equal(documentOf({ name: "a", strict: true }), '{\n  "strict": true\n}');
});

test("a store tells its listeners of changes alone", () => {
  const store = createStore(1);
  const heard: number[] = [];
  const stop = store.subscribe(() => heard.push(store.get()));
  store.set(2);
  store.set(2);
  store.update((n) => n + 1);
  stop();
  store.set(9);
  assert.deepEqual(heard, [2, 3]);
});

test("the place of a fault is read from what is said of it", () => {
  const text = "topics:\n  a:\nstrikt: true\n";
  for (const [fault, rest] of [
    ["is unknown here (line 3, column 1)", "strikt: true\n"],
    ["is no object (line 2, column 3)", "a:\nstrikt: true\n"],
    ["is not YAML: yaml: line 2: mapping values are not allowed", "  a:\nstrikt: true\n"],
    ["Expected ',' in JSON at position 3 (line 1 column 4)", "ics:\n  a:\nstrikt: true\n"],
    ["further than there is anything (line 9, column 9)", ""],
  ] as const) {
    assert.equal(text.slice(indexOf(text, fault)), rest, fault);
  }
  assert.equal(indexOf(text, "is an outline"), undefined);
});
