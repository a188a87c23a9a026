// The inngest package with Sluice in the place of its realtime API. It needs the binary: SLUICE_BIN=../sluice npx vitest run test/inngest.real.test.ts

import { Inngest, realtime, staticSchema } from "inngest";
import { serve } from "inngest/edge";
import { getClientSubscriptionToken } from "inngest/react";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { startInngest } from "../e2e/inngest.js";
import { startSluice } from "../e2e/sluice.js";
import { sluiceRealtime, type SluiceRealtimeOptions } from "../src/inngest/index.js";

/** A message as the server holds it. */
interface Held {
  readonly topic: string;
  readonly kind: string;
  readonly data: unknown;
  readonly run_id?: string;
}

const pipeline = realtime.channel({
  name: ({ id }: { id: string }) => `pipeline:${id}`,
  topics: {
    status: { schema: z.object({ message: z.string() }) },
    word: { schema: z.string() },
    large: { schema: staticSchema<Record<string, unknown>>() },
  },
});

const SILENT = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

const there = !!process.env.SLUICE_BIN;
if (!there) console.warn("test/inngest.real.test.ts is skipped: SLUICE_BIN does not name the server's binary");

describe.skipIf(!there)("Inngest's functions", () => {
  let server: Awaited<ReturnType<typeof startSluice>>;
  let scheduler: ReturnType<typeof startInngest>;
  let ch: ReturnType<typeof pipeline>;
  let count = 0;

  beforeAll(async () => {
    server = await startSluice();
  });
  afterAll(() => server.stop());
  beforeEach(() => {
    scheduler = startInngest();
    ch = pipeline({ id: String(++count) });
  });

  /** A client as an application makes it, but that Inngest is the scheduler. */
  function client(options: Partial<SluiceRealtimeOptions> = {}) {
    const send: typeof fetch = (input, init) => (String(input).startsWith(server.url) ? fetch(input, init) : scheduler.fetch(input, init));
    const runChannel: SluiceRealtimeOptions["runChannel"] = ({ event }) => event.data.channel as string;
    const { fetch: through, middleware } = sluiceRealtime({ url: server.url, apiKey: server.apiKey, runChannel, fetch: send, ...options });
    return new Inngest({ id: "app", isDev: true, fetch: through, middleware: [middleware], logger: SILENT });
  }

  /** Runs functions for an event until nothing is left to do. */
  async function run(inngest: Inngest.Any, functions: Parameters<typeof serve>[0]["functions"]): Promise<void> {
    await scheduler.connect(serve({ client: inngest, functions }));
    await inngest.send({ name: "job", data: { channel: ch.name } });
    await scheduler.idle();
  }

  /** Asks the server. */
  async function get<T>(path: string): Promise<T> {
    const response = await fetch(`${server.url}/v1/channels/${encodeURIComponent(ch.name)}${path}`, {
      headers: { Authorization: `Bearer ${server.apiKey}` },
    });
    return (await response.json()) as T;
  }

  /** What the channel holds. */
  const held = async (): Promise<readonly Held[]> => (await get<{ messages: Held[] }>("/messages?limit=1000")).messages;

  /** The data that was published. */
  const published = async (): Promise<unknown[]> => (await held()).filter(({ kind }) => kind === "data").map(({ data }) => data);

  /** What was said of the run for the last event. */
  async function statuses(): Promise<unknown[]> {
    const runs = (await held()).filter(({ kind }) => kind === "run");
    const { id } = scheduler.runs.findLast(({ event }) => event.name === "job")!;
    return runs.map(({ data, run_id }) => {
      expect(run_id).toBe(id);
      return { ...(data as object), run_id: undefined };
    });
  }

  test("publish at once, as a step, and from outside", async () => {
    const inngest = client();
    const fn = inngest.createFunction({ id: "fn", triggers: [{ event: "job" }] }, async ({ publish, step }) => {
      await publish(ch.status, { message: "at once" });
      return step.realtime.publish("done", ch.status, { message: "as a step" });
    });
    await run(inngest, [fn]);
    await inngest.realtime.publish(ch.status, { message: "from outside" });

    const [{ id: runId, output }] = scheduler.runs as [{ id: string; output: unknown }];
    expect(output).toEqual({ message: "as a step" });
    expect((await held()).filter(({ kind }) => kind === "data")).toMatchObject([
      { topic: "status", data: { message: "at once" }, run_id: runId },
      { topic: "status", data: { message: "as a step" }, run_id: runId },
      { topic: "status", data: { message: "from outside" } },
    ]);
  });

  test("publish a step once, even if the answer that it is done gets lost", async () => {
    const inngest = client();
    const fn = inngest.createFunction({ id: "fn", triggers: [{ event: "job" }] }, async ({ step }) => {
      for (const message of ["a", "b", "a"]) await step.realtime.publish("same id", ch.status, { message });
      await Promise.all(["c", "d"].map((message) => step.realtime.publish(message, ch.status, { message })));
    });
    let requests = 0;
    scheduler.loses = () => ++requests % 2 === 1;
    await run(inngest, [fn]);

    const [{ status }] = scheduler.runs as [{ status: string }];
    expect(status).toBe("completed");
    expect(requests).toBeGreaterThan(10);
    const messages = (await published()).map((data) => (data as { message: string }).message);
    expect(messages.slice(0, 3)).toEqual(["a", "b", "a"]);
    expect(messages.slice(3).sort()).toEqual(["c", "d"]);
  });

  test("do not repeat with each step what they published before it, but with a retry what came after the last one", async () => {
    const inngest = client();
    let failures = 0;
    const fn = inngest.createFunction({ id: "fn", triggers: [{ event: "job" }] }, async ({ publish, step }) => {
      await publish(ch.word, "first");
      await step.run("one", () => publish(ch.word, "in a step"));
      await publish(ch.word, "second");
      await step.run("two", () => 2);
      await publish(ch.word, "third");
      if (failures++ === 0) throw new Error("once");
      await step.run("three", () => 3);
      await publish(ch.word, "last");
    });
    await run(inngest, [fn]);
    expect(await published()).toEqual(["first", "in a step", "second", "third", "third", "last"]);
  });

  test("lose nothing that they publish beside steps that are under way at once", async () => {
    const inngest = client();
    const fn = inngest.createFunction({ id: "fn", triggers: [{ event: "job" }] }, async ({ publish, step }) => {
      const chain = async (name: string, length: number): Promise<void> => {
        for (let n = 1; n <= length; n++) {
          await step.run(`${name}${n}`, () => n);
          await publish(ch.word, `after ${name}${n}`);
        }
      };
      await Promise.all([chain("a", 1), chain("b", 2), chain("c", 3)]);
    });
    await run(inngest, [fn]);
    expect([...new Set(await published())].sort()).toEqual(["a1", "b1", "b2", "c1", "c2", "c3"].map((each) => `after ${each}`));
  });

  test("publish strings as strings, whatever they contain", async () => {
    const inngest = client();
    const words = ["42", "null", '"', "{", "", "ä 🙂", '{"message":"no object"}'];
    const fn = inngest.createFunction({ id: "fn", triggers: [{ event: "job" }] }, async ({ publish, step }) => {
      for (const word of words) await publish(ch.word, word);
      await step.realtime.publish("word", ch.word, "7");
    });
    await run(inngest, [fn]);
    expect(await published()).toEqual([...words, "7"]);
  });

  test("are told why a message is refused, by its schema or by the server", async () => {
    const inngest = client();
    const large = { text: "x".repeat(100_000) };
    await expect(inngest.realtime.publish(ch.status, { message: 1 } as never)).rejects.toThrow("Schema validation failed");
    await expect(inngest.realtime.publish(ch.large, large)).rejects.toThrow(/^Failed to publish to realtime: .*too large/i);
    const stranger = client({ apiKey: "wrong" });
    await expect(stranger.realtime.publish(ch.status, { message: "a" })).rejects.toThrow(/API key|credential|unauthorized/i);
    await expect(stranger.realtime.token({ channel: ch, topics: ["status"] })).rejects.toThrow(/API key|credential|unauthorized/i);
    expect(await published()).toEqual([]);
  });

  test("publish a stream as a text", async () => {
    const inngest = client();
    const pieces = new ReadableStream<Uint8Array>({
      start(to) {
        for (const piece of ["one ", "two"]) to.enqueue(new TextEncoder().encode(piece));
        to.close();
      },
    });
    await inngest.realtime.publish({ ...ch.large, topic: "draft" }, pieces as never);
    const texts = (await held()).filter(({ topic }) => topic === "draft");
    expect(texts.map(({ kind, data }) => (kind === "chunk" ? data : "")).join("")).toBe("one two");
    expect(texts.at(-1)).toMatchObject({ kind: "datastream-end", data: { reason: "complete" } });
  });

  test("a token is the address to subscribe at, for the topics that were asked for", async () => {
    const inngest = client({ ttl: "90s" });
    const { key } = await getClientSubscriptionToken(inngest, { channel: ch, topics: ["status"] });
    const address = new URL(key);
    expect(address.origin).toBe(server.url);
    const [, claims] = address.searchParams.get("access_token")!.split(".");
    const { iat, exp, subscribe } = JSON.parse(atob(claims!)) as { iat: number; exp: number; subscribe: unknown };
    expect(subscribe).toEqual([{ channel: ch.name, topics: ["status"] }]);
    expect(exp - iat).toBeGreaterThanOrEqual(90);
    expect(exp - iat).toBeLessThanOrEqual(91);
  });

  describe("a run", () => {
    test("completes with what the function returns", async () => {
      const inngest = client();
      const fn = inngest.createFunction({ id: "fn", triggers: [{ event: "job" }] }, async ({ step }) => {
        await step.run("one", () => 1);
        return { rows: await step.run("two", () => 2) };
      });
      await run(inngest, [fn]);
      expect(await statuses()).toEqual([{ status: "running" }, { status: "completed", result: { rows: 2 } }]);
    });

    test.each([
      ["too large", "x".repeat(100_000)],
      ["not JSON", 1n],
    ])("completes without a result that is %s", async (_, result) => {
      const inngest = client();
      await run(inngest, [inngest.createFunction({ id: "fn", triggers: [{ event: "job" }] }, () => result)]);
      expect(await statuses()).toEqual([{ status: "running" }, { status: "completed" }]);
    });

    test("fails once nothing is tried again, whether the function fails or a step", async () => {
      const inngest = client();
      const options = { retries: 2 as const, triggers: [{ event: "job" }] };
      const fails = inngest.createFunction({ ...options, id: "fails" }, () => {
        throw new Error("the function");
      });
      const step = inngest.createFunction({ ...options, id: "step" }, ({ step }) =>
        step.run("fails", () => {
          throw new Error("the step");
        }),
      );
      await run(inngest, [fails]);
      expect(await statuses()).toEqual([{ status: "running" }, { status: "failed", error: "the function" }]);
      ch = pipeline({ id: String(++count) });
      await run(inngest, [step]);
      expect(await statuses()).toEqual([{ status: "running" }, { status: "failed", error: "the step" }]);
    });

    test("is said to have failed before onFailure is called, which is no run of its own", async () => {
      const inngest = client();
      let seen: unknown[] = [];
      const onFailure = async ({ step }: { step: { run: (id: string, work: () => number) => Promise<number> } }): Promise<void> => {
        await step.run("one", () => 1);
        seen = await statuses();
      };
      const fn = inngest.createFunction({ id: "fn", retries: 0, onFailure, triggers: [{ event: "job" }] }, () => {
        throw new Error("no");
      });
      await run(inngest, [fn]);
      expect(seen).toEqual([{ status: "running" }, { status: "failed", error: "no" }]);
      expect(await statuses()).toEqual(seen);
      expect(scheduler.functions().map(({ id }: { id: string }) => id)).toEqual(["app-fn", "app-fn-failure", "app-fn-run-status"]);
    });

    test.each([
      ["cancelled", () => scheduler.cancel, { status: "cancelled" }],
      ["given up on", () => scheduler.giveUp, { status: "failed", error: "the application does not answer" }],
    ] as const)("is %s while the function is not running", async (_, ending, status) => {
      const inngest = client();
      let called = 0;
      const fn = inngest.createFunction({ id: "fn", triggers: [{ event: "job" }] }, async ({ step }) => {
        called++;
        await step.waitForEvent("approval", { event: "approved", timeout: "1h" });
      });
      const waits = new Promise<void>((resolve) => {
        scheduler.onWait = resolve;
      });
      await scheduler.connect(serve({ client: inngest, functions: [fn] }));
      await inngest.send({ name: "job", data: { channel: ch.name } });
      await waits;
      expect(await statuses()).toEqual([{ status: "running" }]);
      ending()(scheduler.runs[0]);
      await scheduler.idle();
      expect(await statuses()).toEqual([{ status: "running" }, status]);
      expect(called).toBe(1);
    });

    test("is nobody's business without runChannel", async () => {
      const inngest = client({ runChannel: undefined });
      await run(inngest, [inngest.createFunction({ id: "fn", triggers: [{ event: "job" }] }, () => 1)]);
      expect(await statuses()).toEqual([]);
      expect(scheduler.functions()).toHaveLength(1);
    });

    test("goes on although nobody can be told of it", async () => {
      const seen: unknown[] = [];
      const inngest = client({
        runChannel: (of) => {
          seen.push(of);
          throw new Error("no channel");
        },
      });
      await run(inngest, [inngest.createFunction({ id: "fn", triggers: [{ event: "job" }] }, () => 1)]);
      const [{ id: runId, status }] = scheduler.runs as [{ id: string; status: string }];
      expect(status).toBe("completed");
      expect(seen).toMatchObject(Array(2).fill({ runId, functionId: "fn", event: { name: "job" }, events: [{ name: "job" }] }));
    });
  });
});
