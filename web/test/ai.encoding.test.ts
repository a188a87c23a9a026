// The text as which an answer travels.

import { describe, expect, test } from "vitest";
import { encode, decoder, type Part } from "../src/ai/encoding.js";
import { aisdk } from "./accumulators/aisdk.js";
import { random } from "./support/random.js";

async function* each(parts: readonly Part[]): AsyncGenerator<Part> {
  yield* parts;
}

async function collect(pieces: AsyncIterable<string>): Promise<string[]> {
  const all: string[] = [];
  for await (const piece of pieces) all.push(piece);
  return all;
}

async function textOf(parts: readonly Part[]): Promise<string> {
  return (await collect(encode(each(parts)))).join("");
}

/** Reads a text in pieces that end at these places. */
function read(text: string, ends: readonly number[]): Part[] {
  const parts: Part[] = [];
  const take = decoder((part) => parts.push(part));
  let from = 0;
  for (const end of [...ends, text.length]) {
    take(text.slice(from, end));
    from = end;
  }
  return parts;
}

/** The same for parts whose fields are in another order. */
const key = (part: Part): string => JSON.stringify(Object.entries(part).sort());

/** Joins parts that differ in their string alone. */
function joined(parts: readonly Part[]): Part[] {
  const result: Part[] = [];
  for (const part of parts) {
    const field = "inputTextDelta" in part ? "inputTextDelta" : "delta";
    const last = result.at(-1);
    const alike = last && field in last && field in part && key({ ...last, [field]: 0 }) === key({ ...part, [field]: 0 });
    if (alike) result[result.length - 1] = { ...last, [field]: `${String(last[field])}${String(part[field])}` };
    else result.push(part);
  }
  return result;
}

const PARTS = aisdk.parts as readonly Part[];

describe("an answer as a text", () => {
  test("has a line of JSON for a part, and strings as they are", async () => {
    const text = await textOf([
      { type: "start", messageId: "m" },
      { type: "text-start", id: "1" },
      { type: "text-delta", id: "1", delta: 'a "b"\n' },
      { type: "text-delta", id: "1", delta: "c" },
      { type: "tool-input-start", toolCallId: "t", toolName: "f" },
      { type: "tool-input-delta", toolCallId: "t", inputTextDelta: '{"x"' },
      { type: "text-delta", id: "1", delta: "d" },
      { type: "tool-input-delta", toolCallId: "t", inputTextDelta: ":1}" },
      { type: "tool-input-available", toolCallId: "t", toolName: "f", input: { x: 1 } },
      { type: "reasoning-delta", id: "2", delta: "", providerMetadata: { signature: "s" } },
      { type: "text-delta", id: "1", delta: "\ud83d" },
    ]);
    expect(text).toBe(
      `
{"type":"start","messageId":"m"}
{"type":"text-start","id":"1"}
a "b"
c\x1e{"type":"tool-input-start","toolCallId":"t","toolName":"f"}
{"x"\x1e{"type":"text-delta","id":"1"}
d\x1e{"type":"tool-input-delta","toolCallId":"t"}
:1}\x1e{"type":"tool-input-available","toolCallId":"t","toolName":"f"}
{"type":"reasoning-delta","id":"2","delta":"","providerMetadata":{"signature":"s"}}
{"type":"text-delta","id":"1","delta":"\\ud83d"}
`,
    );
  });

  test("grows with each part", async () => {
    let text = "";
    let given = 0;
    const shown: Part[] = [];
    const take = decoder((part) => shown.push(part));
    async function* source(): AsyncGenerator<Part> {
      for (const part of PARTS) {
        given++;
        yield part;
      }
    }
    for await (const piece of encode(source())) {
      text += piece;
      take(piece);
      if (given) expect(joined(shown), text).toEqual(joined(PARTS.slice(0, given)));
    }
    expect(given).toBe(PARTS.length);
  });

  test("can be cut anywhere", async () => {
    const text = await textOf(PARTS);
    const whole = await aisdk.accumulate(aisdk.parts);
    for (let end = 0; end <= text.length; end += 3) {
      const parts = read(text, [end]);
      expect(joined(parts), `cut at ${end}`).toEqual(joined(PARTS));
      if (end % 300 === 0) expect(await aisdk.accumulate(parts as never)).toEqual(whole);
    }
    expect(read(text, [...Array(text.length).keys()]).length).toBeGreaterThan(joined(PARTS).length);
  });

  test("leaves out the input of a tool only if it is what was said before", async () => {
    const parts = [
      { type: "tool-input-delta", toolCallId: "a", inputTextDelta: '{"x":1}' },
      { type: "tool-input-available", toolCallId: "a", toolName: "f", input: { x: 1, y: 0 } },
      { type: "tool-input-delta", toolCallId: "b", inputTextDelta: '{"x":' },
      { type: "tool-input-available", toolCallId: "b", toolName: "f", input: {} },
      { type: "tool-input-available", toolCallId: "c", toolName: "f", input: {} },
    ];
    const text = await textOf(parts);
    expect(read(text, [])).toEqual(parts);
    expect(text.match(/"input"/g)).toHaveLength(3);
  });

  test("whatever the parts are", async () => {
    const { below, pick } = random(7);
    const deltas = [
      "",
      "a",
      '"',
      "\\",
      "\\\\",
      '\\"',
      "\n",
      "\u2028",
      "\ud83d",
      "\ude00",
      "é",
      '","delta":"',
      "}\n{",
      "\u0000",
      "\\u00",
      "\x1e",
    ];
    const metadata = [{}, {}, { providerMetadata: { a: { delta: "x", b: ',"delta":"' } } }, { providerMetadata: { delta: "y" } }];
    const kinds = ["text-start", "text-delta", "text-delta", "reasoning-delta", "tool-input-delta", "data-x"];
    for (let round = 0; round < 300; round++) {
      const parts = Array.from({ length: 12 }, (): Part => {
        const delta = pick(deltas) + pick(deltas);
        const type = pick(kinds);
        if (type === "data-x") return { type, data: { delta, type: "text-delta" } };
        if (type === "text-start") return { type, id: String(below(2)) };
        if (type === "tool-input-delta") return { type, toolCallId: "t", inputTextDelta: delta };
        return { type, id: String(below(2)), delta, ...pick(metadata) };
      });
      const text = await textOf(parts);
      const ends = Array.from({ length: below(20) }, () => below(text.length + 1)).sort((a, b) => a - b);
      expect(joined(read(text, ends)), JSON.stringify({ text, ends })).toEqual(joined(parts));
    }
  });
});
