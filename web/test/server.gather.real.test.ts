// Publishes that share requests, against the real server. It needs the binary: SLUICE_BIN=../sluice npx vitest run test/server.gather.real.test.ts

import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { startSluice } from "../e2e/sluice.js";
import { SluiceError, staticSchema, type Receipt, type TopicRef } from "../src/index.js";
import { createServer, type ServerOptions, type SluiceServer } from "../src/server/index.js";
import { startCutter } from "./support/cutter.js";
import { random } from "./support/random.js";

const there = !!process.env.SLUICE_BIN;
if (!there) console.warn("test/server.gather.real.test.ts is skipped: SLUICE_BIN does not name the server's binary");

describe.skipIf(!there)("gathered publishes to the real server", () => {
  let server: Awaited<ReturnType<typeof startSluice>>;
  let count = 0;

  beforeAll(async () => {
    server = await startSluice({ flags: ["--replay-messages", "5000"] });
  });
  afterAll(() => server.stop());

  const nameOf = (): string => `gather:${++count}`;
  const ref = (channel: string, topic = "t"): TopicRef => ({ channel, topic, schema: staticSchema<unknown>() });

  /** A client, and the bodies of its requests. */
  function client(options: Partial<ServerOptions> = {}): { sluice: SluiceServer; bodies: string[] } {
    const bodies: string[] = [];
    const { url, apiKey } = server;
    const watched: typeof fetch = (input, init) => {
      bodies.push(init!.body as string);
      return fetch(input, init);
    };
    return { sluice: createServer({ url, apiKey, fetch: watched, gather: true, ...options }), bodies };
  }

  interface Held {
    readonly id: string;
    readonly data: unknown;
  }

  async function held(channel: string): Promise<Held[]> {
    const all: Held[] = [];
    for (let next: string | null = ""; next !== null;) {
      const after: string = next && `&after=${next}`;
      const response = await fetch(`${server.url}/v1/channels/$/messages?channel=${encodeURIComponent(channel)}&limit=1000${after}`, {
        headers: { Authorization: `Bearer ${server.apiKey}` },
      });
      const page = (await response.json()) as { messages: Held[]; next: string | null };
      all.push(...page.messages);
      next = page.next;
    }
    return all;
  }

  test("a hundred at once take one request, and arrive in order", async () => {
    const channel = nameOf();
    const { sluice, bodies } = client();
    const receipts = await Promise.all([...Array(100).keys()].map((i) => sluice.publish(ref(channel), i)));
    expect(bodies).toHaveLength(1);
    expect(await held(channel)).toMatchObject(receipts.map(({ id }, i) => ({ id, data: i })));
  });

  test("each gets the answer that it would get alone", async () => {
    const channel = nameOf();
    const name = `${channel}:{x}`;
    await fetch(`${server.url}/v1/schemas/$?name=${encodeURIComponent(name)}`, {
      method: "PUT",
      headers: { Authorization: `Bearer ${server.apiKey}`, "Content-Type": "application/json" },
      body: JSON.stringify({ strict: true, topics: { t: { schema: { type: "integer" } } } }),
    });
    const one = `${channel}:1`;
    let nested: unknown = 1; // deeper than the server's reader of arrays goes
    for (let depth = 0; depth < 3000; depth++) nested = [nested];
    const calls: [TopicRef, unknown, object?][] = [
      ...([
        [ref(one), 1],
        [ref(one), "x"],
        [ref(one, "no"), 1],
        [ref("a b"), 1],
        [ref(one, "t t"), 1],
      ] as [TopicRef, unknown][]),
      ...([
        [ref(channel), "x".repeat(70_000)],
        [ref(channel), "x".repeat(200_000)],
        [ref(channel), nested],
      ] as [TopicRef, unknown][]),
      [ref(one), 2, { key: "bad key\n" }],
      [ref(one), 3, { key: "k" }],
      [ref(one), 4, { key: "k" }],
      [ref(one), 5, { runId: "" }],
    ];
    const outcome = (sluice: SluiceServer) => async (call: (typeof calls)[number]) =>
      sluice.publish(...call).catch((error: unknown) => error as SluiceError);
    const plain = (result: Receipt | SluiceError): unknown =>
      result instanceof SluiceError ? Object.assign({}, result, { instance: "" }) : { ...result, id: "", created_at: "" };
    const together = await Promise.all(calls.map(outcome(client().sluice)));
    expect((await held(one)).map(({ data }) => data)).toEqual([1, 3, 5]);
    const other = client({ gather: false }).sluice;
    const alone = await Promise.all([calls.slice(0, 9), calls.slice(11)].flat().map(outcome(other)));
    expect([together.slice(0, 9), together.slice(11)].flat().map(plain)).toEqual(alone.map(plain));
    expect(together[9]).toMatchObject({ duplicate: false, durable: true });
    expect(together[10]).toMatchObject({ duplicate: true, id: (together[9] as Receipt).id });
  });

  test("a lost connection: nothing is doubled, and each caller is told as the rules say", async () => {
    const channel = nameOf();
    const cutter = await startCutter(Number(new URL(server.url).port), () => ({ down: cuts-- > 0 ? 50 : 1 << 20 }));
    let cuts = 1;
    onTestFinished(() => cutter.stop());
    const { sluice } = client({ url: cutter.url, retryMinMs: 1, retryMaxMs: 2 });
    const outcomes = await Promise.all(
      [...Array(20).keys()].map((i) =>
        sluice.publish(ref(channel), i, i % 2 ? { key: `k${i}` } : {}).catch((error: unknown) => error as SluiceError),
      ),
    );
    const messages = await held(channel);
    expect(messages.map(({ data }) => data)).toEqual([...Array(20).keys()]);
    for (const [i, outcome] of outcomes.entries()) {
      if (i % 2) expect(outcome).toMatchObject({ id: messages[i]!.id, duplicate: true });
      else expect(outcome).toMatchObject({ code: "network" });
    }
  });

  test.each([1, 2, 3, 4])("whatever happens, a receipt is what a reader sees: seed %d", async (seed) => {
    const { below, chance, pick } = random(seed);
    let connections = 0; // the first one is always cut: there may be no second one
    const cutter = await startCutter(Number(new URL(server.url).port), () => ({
      ...((connections++ === 0 || chance(0.5)) && { up: below(5000) }),
      ...(chance(0.5) && { down: below(3000) }),
    }));
    onTestFinished(() => cutter.stop());
    const { sluice, bodies } = client({ url: cutter.url, retries: 50, retryMinMs: 1, retryMaxMs: 4 });
    const channels = [nameOf(), nameOf(), nameOf()];
    const calls: { channel: string; data: string; key: string | undefined; wrong: boolean; aborted: boolean; outcome: Promise<unknown> }[] =
      [];
    for (let i = 0; i < 400; i++) {
      const channel = pick(channels);
      const [wrong, aborts] = [chance(0.05), chance(0.1)];
      const key = chance(0.7) ? `k${chance(0.1) ? below(i + 1) : i}` : undefined;
      const data = `${i}:${"x".repeat(chance(0.02) ? 50_000 : below(300))}`;
      const stop = new AbortController();
      const topic = wrong ? "not a topic" : "t";
      const outcome = sluice.publish(ref(channel, topic), data, { key, signal: stop.signal }).catch((error: unknown) => error);
      calls.push({ channel, data, key, wrong, aborted: aborts, outcome });
      if (aborts) setTimeout(() => stop.abort("enough"), below(20));
      if (chance(0.2)) await new Promise((resolve) => setTimeout(resolve, below(4)));
      if (chance(0.05)) await outcome;
    }
    const outcomes = await Promise.all(calls.map(({ outcome }) => outcome));
    const messages = new Map<string, string>();
    for (const channel of channels) {
      const all = await held(channel);
      for (const { id, data } of all) messages.set(`${channel} ${id}`, data as string);
      expect(new Set(all.map(({ data }) => data)).size, "nothing is published twice").toBe(all.length);
    }
    const published = new Set(messages.values());
    const keys = new Map<string, string>(); // what was published first under a key
    for (const [i, { channel, data, key, wrong, aborted }] of calls.entries()) {
      const outcome = outcomes[i] as Partial<Receipt> & Partial<SluiceError>;
      if (outcome.id !== undefined) {
        const seen = messages.get(`${channel} ${outcome.id}`);
        expect(wrong).toBe(false);
        expect(outcome.durable).toBe(key !== undefined);
        if (key === undefined) expect(seen).toBe(data);
        else {
          const name = `${channel} ${key}`;
          expect(seen).toBe(keys.get(name) ?? seen);
          keys.set(name, seen!);
          if (!outcome.duplicate) expect(seen).toBe(data);
        }
      } else if (wrong) expect(published.has(data)).toBe(false);
      else if (!aborted) {
        expect(outcome).toMatchObject({ code: "network" });
        expect(key).toBeUndefined();
      }
      if (wrong && !aborted && key) expect(outcome).toMatchObject({ code: "malformed", status: 400 });
    }
    expect(bodies.length).toBeLessThan(calls.length + cutter.cuts * 50);
    expect(cutter.cuts).toBeGreaterThan(0);
  });
});
