// The accumulators of three libraries, as they are, put the same answer together from the parts as they were published and
// from what the server holds of them, cut and resumed anywhere. It needs the binary:
// SLUICE_BIN=../sluice npx vitest run test/accumulators.test.ts

import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startSluice } from "../e2e/sluice.js";
import { channel, staticSchema, subscribe, type Message, type Subscription } from "../src/index.js";
import { createServer, type SluiceServer } from "../src/server/index.js";
import type { Accumulator } from "./accumulators/accumulator.js";
import { agui } from "./accumulators/agui.js";
import { aisdk } from "./accumulators/aisdk.js";
import { openai } from "./accumulators/openai.js";

const there = !!process.env.SLUICE_BIN;
if (!there) console.warn("test/accumulators.test.ts is skipped: SLUICE_BIN does not name the server's binary");

test("the rules are those that docs/texts.md recommends", () => {
  const page = readFileSync(new URL("../../docs/texts.md", import.meta.url), "utf8");
  const rows = Array.from(page.matchAll(/^\| [^|]* \| `(\/\w+)` \| (`\/[^|]*`) \|$/gm), ([, append, key]) => ({
    append,
    key: Array.from(key!.matchAll(/`([^`]*)`/g), ([, pointer]) => pointer),
  }));
  expect(rows).toEqual([aisdk, agui, openai].flatMap(({ rules }) => Object.values(rules)));
});

describe.skipIf(!there)("the accumulator of", () => {
  let server: Awaited<ReturnType<typeof startSluice>>;
  let sluice: SluiceServer;

  beforeAll(async () => {
    server = await startSluice();
    sluice = createServer({ url: server.url, apiKey: server.apiKey });
  });
  afterAll(() => server.stop());

  const read = (name: string, from: { replay: "all" } | { lastEventId: string }): Reader =>
    readerOf(subscribe({ url: server.url, token: server.apiKey, channel: name, ...from }));

  /** Returns what the channel holds after an id, or all of it, up to the newest part. */
  async function held(name: string, newest: string, after?: string): Promise<object[]> {
    const reader = read(name, after ? { lastEventId: after } : { replay: "all" });
    await reader.upTo(newest);
    return reader.close();
  }

  test.each<[string, Accumulator, number]>([
    ["the AI SDK", aisdk, 40],
    ["AG-UI", agui, 39],
    ["OpenAI's Responses", openai, 28],
  ])("%s", async (_, { rules, parts, topicOf, ...library }, room) => {
    const made = new Map<string, Promise<unknown>>(); // many readers have got the same
    const accumulate = (some: readonly object[]): Promise<unknown> => {
      const key = JSON.stringify(some);
      const known = made.get(key) ?? library.accumulate(some);
      made.set(key, known);
      return known;
    };
    const topics = Object.fromEntries(Object.entries(rules).map(([topic, merge]) => [topic, { schema: staticSchema<object>(), merge }]));
    const answer = channel({ name: `answer:${parts.length}`, topics });
    await sluice.define(answer, { replay: { messages: room } });
    expect(parts.length).toBeGreaterThan(room); // unless parts are held as one, the first ones are lost

    const result = await accumulate(parts);
    const live = read(answer.$name, { replay: "all" });
    const late: Reader[] = [];
    const ids: string[] = [];
    const resumed: object[][][] = []; // by how many parts were published, and after how many the reader was cut
    for (const [i, part] of parts.entries()) {
      ids.push((await sluice.publish(answer[topicOf(part)]!, part)).id);
      await live.upTo(ids[i]!); // so it is sent each part by itself
      late.push(read(answer.$name, { replay: "all" }));
      await late[i]!.upTo(ids[i]!);
      resumed.push(await Promise.all(ids.map((id, cut) => (cut < i ? held(answer.$name, ids[i]!, id) : Promise.resolve([])))));

      const soFar = parts.slice(0, i + 1);
      const partial = await accumulate(soFar);
      expect(await accumulate(late[i]!.parts), `who comes after ${i + 1} parts`).toEqual(partial);
      for (const [cut, rest] of resumed[i]!.entries()) {
        const all = [...parts.slice(0, cut + 1), ...rest];
        expect(await accumulate(all), `who had ${cut + 1} parts and comes back after ${i + 1}`).toEqual(partial);
      }
    }

    const newest = ids.at(-1)!;
    expect(live.close()).toEqual(parts);
    const merged = await held(answer.$name, newest);
    expect(merged.length).toBeLessThanOrEqual(room);
    expect(await accumulate(merged)).toEqual(result);
    for (const [i, reader] of late.entries()) {
      await reader.upTo(newest);
      expect(await accumulate(reader.close()), `who comes after ${i + 1} parts and stays`).toEqual(result);
      for (const [cut, rest] of resumed[i]!.entries()) {
        const all = [...parts.slice(0, cut + 1), ...rest, ...resumed.at(-1)![i]!];
        expect(await accumulate(all), `who is cut after ${cut + 1} and again after ${i + 1} parts`).toEqual(result);
      }
    }
  });
});

interface Reader {
  /** What has come. */
  readonly parts: readonly object[];
  /** Waits for the part of that id. */
  upTo(id: string): Promise<void>;
  /** Ends the subscription and returns what has come. */
  close(): object[];
}

function readerOf(subscription: Subscription): Reader {
  const messages = subscription[Symbol.asyncIterator]();
  const parts: object[] = [];
  let newest: string | undefined;
  return {
    parts,
    async upTo(id) {
      while (newest !== id) {
        const message = (await messages.next()).value as Message & { data: object };
        parts.push(message.data);
        newest = message.id;
      }
    },
    close() {
      subscription.close();
      return parts;
    },
  };
}
