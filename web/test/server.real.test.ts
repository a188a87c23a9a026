// The ./server entry against the real server. It needs the binary: SLUICE_BIN=../sluice npx vitest run test/server.real.test.ts

import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";
import * as v from "valibot";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { startSluice } from "../e2e/sluice.js";
import { channel, SluiceError, staticSchema, subscribe, text, type Message } from "../src/index.js";
import { createServer, type SluiceServer } from "../src/server/index.js";
import { holds, PATIENCE } from "./support/patience.js";

type Server = Awaited<ReturnType<typeof startSluice>>;

/** A message as the server holds it. */
interface Held {
  readonly id: string;
  readonly topic: string;
  readonly kind: string;
  readonly run_id?: string;
  readonly traceparent?: string;
  readonly data: Record<string, unknown>;
}

const jobs = channel({
  name: ({ id }: { id: string }) => `job:${id}`,
  topics: {
    status: { schema: z.object({ message: z.string() }) },
    question: { schema: staticSchema<{ text: string }>() },
    answer: { schema: z.object({ ok: z.boolean() }) },
    text: text(),
  },
});

const there = !!process.env.SLUICE_BIN;
if (!there) console.warn("test/server.real.test.ts is skipped: SLUICE_BIN does not name the server's binary");

describe.skipIf(!there)("the real server", () => {
  let server: Server;
  let sluice: SluiceServer;
  let job: ReturnType<typeof jobs>;
  let count = 0;

  beforeAll(async () => {
    server = await startSluice({ flags: ["--replay-messages", "2000"] });
    sluice = clientOf(server);
  });
  afterAll(() => server.stop());
  beforeEach(() => {
    job = jobs({ id: String(++count) });
  });

  const clientOf = ({ url, apiKey }: Server, fetch?: typeof globalThis.fetch): SluiceServer => createServer({ url, apiKey, fetch });

  /** What the channel holds. */
  async function held(name: string, query = "", { url, apiKey }: Server = server): Promise<Held[]> {
    const address = `${url}/v1/channels/${encodeURIComponent(name)}/messages?limit=1000${query}`;
    const response = await fetch(address, { headers: { Authorization: `Bearer ${apiKey}` } });
    return ((await response.json()) as { messages: Held[] }).messages;
  }

  /** How many streams the channel has. */
  async function subscribers(name: string): Promise<number> {
    const response = await fetch(`${server.url}/v1/channels/${encodeURIComponent(name)}`, {
      headers: { Authorization: `Bearer ${server.apiKey}` },
    });
    return ((await response.json()) as { subscribers: number }).subscribers;
  }

  test("a message names the span that it follows from, however it was published, and so do its readers see it", async () => {
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    await sluice.publish(job.status, { message: "a" }, { traceparent });
    await sluice.publishMany([
      { ref: job.status, data: { message: "b" }, traceparent },
      { ref: job.status, data: { message: "none" } },
    ]);
    await sluice.stream(job.status, [{ message: "c" }], { traceparent });
    await sluice.stream(job.text, ["d"], { traceparent });
    const start = (await held(job.status.channel)).find(({ kind }) => kind === "datastream-start");
    expect(start).toMatchObject({ traceparent });
    const { token } = await sluice.token({ channel: job, topics: ["status"] });
    const seen: unknown[] = [];
    for await (const message of subscribe({ channel: job, url: server.url, token, topics: ["status"], replay: "all" })) {
      if (message.kind === "data") seen.push([message.data.message, message.traceparent]);
      if (seen.length === 4) break;
    }
    expect(seen).toEqual([
      ["a", traceparent],
      ["b", traceparent],
      ["none", undefined],
      ["c", traceparent],
    ]);
  });

  test("publish: an ordinary one is ordinary, one with a key happens once", async () => {
    expect(await sluice.publish(job.status, { message: "a" })).toMatchObject({ durable: false, duplicate: false });
    const first = await sluice.publish(job.status, { message: "b" }, { key: "k", runId: "r" });
    expect(first).toMatchObject({ durable: true, duplicate: false });
    expect(await sluice.publish(job.status, { message: "c" }, { key: "k" })).toEqual({ ...first, duplicate: true });
    expect((await held(job.$name)).map(({ data, run_id }) => [data.message, run_id])).toEqual([
      ["a", undefined],
      ["b", "r"],
    ]);
    await expect(createServer({ url: server.url, apiKey: "no" }).publish(job.status, { message: "" })).rejects.toMatchObject({
      code: "unauthorized",
    });
  });

  test("publishMany: over the limit of one request, with what is refused in its place", async () => {
    const items = Array.from({ length: 1500 }, (_, i) => ({ ref: job.status, data: { message: String(i) } }));
    items[700] = { ref: { ...job.status, topic: "message" as never }, data: { message: "bad topic" } };
    items[701] = { ref: job.status, data: { message: "x".repeat(70_000) } };
    const results = await sluice.publishMany(items);
    expect(results).toHaveLength(1500);
    const refused = results.flatMap((result, i) => (result instanceof SluiceError ? [[i, result.code]] : []));
    expect(refused).toEqual([
      [700, "malformed"],
      [701, "too-large"],
    ]);
  });

  test("stream: 100,000 messages over one connection, in order", async () => {
    const seen: string[] = [];
    const counted = clientOf(server, (input, init) => {
      seen.push((input as URL).pathname);
      return fetch(input, init);
    });
    async function* source(): AsyncGenerator<{ text: string }> {
      for (let i = 0; i < 100_000; i++) yield { text: String(i) };
    }
    const results = await counted.stream(job.question, source());
    expect(results).toHaveLength(100_000);
    const numbers = results.map((result) => Number((result as { id: string }).id.split("-")[1]));
    expect(numbers.every((number, i) => i === 0 || number > numbers[i - 1]!)).toBe(true);
    expect(seen).toEqual(["/v1/publish"]);
    expect((await held(job.$name, "&order=desc"))[0]).toMatchObject({ id: (results.at(-1) as { id: string }).id, data: { text: "99999" } });
  });

  test("stream: receipts come while the source goes on, and the source of a refused one is closed", async () => {
    let closed = false;
    const taken: string[] = [];
    async function* source(): AsyncGenerator<{ message: string }> {
      try {
        yield { message: "first" };
        await holds(async () => (taken.push(...(await held(job.$name)).map(({ data }) => data.message as string)), taken.length > 0));
        yield { message: "second" };
        if (taken.length) await new Promise(() => undefined);
      } finally {
        closed = true;
      }
    }
    const stop = new AbortController();
    const done = sluice.stream(job.status, source(), { signal: stop.signal });
    done.catch(() => undefined);
    await holds(async () => (await held(job.$name)).length === 2);
    expect(taken[0]).toBe("first");
    stop.abort("enough");
    await expect(done).rejects.toBe("enough");
    expect(closed).toBe(false); // it waits for something else; the next one hears of it
    const bad = createServer({ url: server.url, apiKey: "no" });
    async function* forever(): AsyncGenerator<{ message: string }> {
      try {
        for (;;) {
          yield { message: "" };
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
      } finally {
        closed = true;
      }
    }
    await expect(bad.stream(job.status, forever())).rejects.toMatchObject({ code: "unauthorized" });
    await holds(() => closed);
  });

  test("stream: a server that stops ends it", async () => {
    const other = await startSluice();
    async function* source(): AsyncGenerator<{ message: string }> {
      yield { message: "first" };
      await holds(async () => (await held(job.$name, "", other)).length > 0);
      void other.stop();
      await new Promise(() => undefined);
    }
    await expect(clientOf(other).stream(job.status, source())).rejects.toMatchObject({ code: "draining", status: 503 });
  });

  test("stream: a text is read along, whole and aborted", async () => {
    const messages: Message[] = [];
    const { token } = await sluice.token({ channel: job, topics: ["text"] });
    const reader = subscribe({
      url: server.url,
      token,
      channel: job,
      onMessage: (message) => messages.push(message),
      onChunk: (message) => messages.push(message),
    });
    onTestFinished(() => reader.close());
    await holds(() => reader.getSnapshot().status === "open");
    async function* source(): AsyncGenerator<string | Uint8Array> {
      yield "Hé";
      await holds(() => messages.some((message) => message.kind === "stream" && message.text === "Hé"));
      yield new TextEncoder().encode("llo");
    }
    const receipt = await sluice.stream(job.text, source(), { runId: "r" });
    expect(receipt).toMatchObject({ bytes: 6, chunks: 2 });
    await holds(() => (messages.at(-1) as { state?: string }).state === "complete");
    expect(messages.at(-1)).toMatchObject({ text: "Héllo", stream_id: receipt.stream_id, run_id: "r" });
    async function* failing(): AsyncGenerator<string> {
      yield "half";
      await holds(() => (messages.at(-1) as { text?: string }).text === "half");
      throw new Error("model gone");
    }
    await expect(sluice.stream(job.text, failing())).rejects.toThrow("model gone");
    await holds(() => (messages.at(-1) as { state?: string }).state === "aborted");
    expect(await sluice.stream(job.text, [])).toMatchObject({ bytes: 0 });
  });

  test("token: grants what is listed and no more", async () => {
    const { token, subscribe_url } = await sluice.token({
      channel: job,
      topics: ["status"],
      publish: [job.answer],
      sub: "user-7",
      ttl: "1m",
    });
    expect(subscribe_url).toContain(server.url);
    const holder = createServer({ url: server.url, apiKey: token });
    await holder.publish(job.answer, { ok: true });
    await expect(holder.publish(job.status, { message: "" })).rejects.toMatchObject({ code: "forbidden", status: 403 });
    await expect(holder.token({ channel: job })).rejects.toMatchObject({ status: 403 });
  });

  test("define: messages with a merge rule are held as one", async () => {
    const answer = channel({
      name: "merged",
      topics: { parts: { schema: staticSchema<{ id: number; delta: string }>(), merge: { append: "/delta", key: ["/id"] } } },
    });
    const definition = await sluice.define(answer);
    expect(definition.topics).toMatchObject({ parts: { merge: { append: "/delta", key: ["/id"] } } });
    for (const [id, delta] of [
      [1, "Hel"],
      [1, "lo"],
      [2, "a"],
    ] as const)
      await sluice.publish(answer.parts, { id, delta });
    expect((await held(answer.$name)).map(({ data }) => data)).toEqual([
      { id: 1, delta: "Hello" },
      { id: 2, delta: "a" },
    ]);
  });

  test("define: the server holds messages to what the validators say", async () => {
    const order = channel({
      name: ({ id }: { id: string }) => `order:${id}`,
      topics: {
        placed: { schema: z.object({ mail: z.email(), lasts: z.iso.duration(), at: z.iso.datetime(), n: z.string().transform(Number) }) },
        paid: { schema: v.object({ sum: v.number() }), jsonSchema: { type: "object", required: ["sum"] } },
        note: { schema: v.string() },
        any: { schema: staticSchema<unknown>() },
      },
    });
    const definition = await sluice.define(order, { strict: true, replay: { messages: 5, age: "1m" } });
    expect(definition).toMatchObject({
      name: "order:{id}",
      strict: true,
      replay: { messages: 5, age: "1m" },
      topics: { any: {}, note: {} },
    });
    const one = order({ id: "1" });
    await sluice.publish(one.placed, { mail: "a@example.com", lasts: "P1D", at: "2026-11-23T06:18:03Z", n: "7" });
    await sluice.publish(one.note, "text");
    const unchecked = (topic: string, data: unknown): Promise<unknown> =>
      sluice.publish({ channel: one.$name, topic, schema: staticSchema() }, data);
    await expect(unchecked("placed", { mail: "no" })).rejects.toMatchObject({ code: "schema-violation", status: 422 });
    await expect(unchecked("paid", {})).rejects.toMatchObject({ errors: [{ pointer: "" }] });
    await expect(unchecked("other", {})).rejects.toMatchObject({ code: "unknown-topic" });
    const wrong = channel({ name: "wrong", topics: { a: { schema: z.string(), jsonSchema: { pattern: "(?=x)" } } } });
    await expect(sluice.define(wrong)).rejects.toMatchObject({ code: "bad-schema", errors: [{ pointer: "/topics/a/schema/pattern" }] });
  });

  test("run: its states are final", async () => {
    const run = sluice.run(job, "r");
    await run.start();
    expect(await run.complete({ rows: 3 })).toMatchObject({ topic: "$run", duplicate: false });
    expect(await run.complete()).toMatchObject({ duplicate: true });
    await expect(run.cancel()).rejects.toMatchObject({ code: "conflict", status: 409 });
    await sluice.run(job, "r2").fail(new Error("out of memory"));
    expect((await held(job.$name)).filter(({ kind }) => kind === "run").at(-1)).toMatchObject({
      data: { status: "failed", error: "out of memory" },
      run_id: "r2",
    });
  });

  test("a server that stops and comes back is published to", async () => {
    const before = await startSluice();
    const reader = new AbortController(); // the server waits for it, and refuses publishes meanwhile
    await fetch(`${before.url}/v1/subscribe?channel=x`, { headers: { Authorization: `Bearer ${before.apiKey}` }, signal: reader.signal });
    const statuses: number[] = [];
    const patient = clientOf(before, async (input, init) => {
      const response = await fetch(input, init);
      statuses.push(response.status);
      return response;
    });
    const stopped = before.stop();
    await holds(async () => (await fetch(`${before.url}/readyz`)).status === 503, 5);
    const published = patient.publish(job.status, { message: "a" }, { key: "k" });
    await holds(() => statuses.length > 0);
    reader.abort();
    await stopped;
    const after = await startSluice({ port: before.port, apiKey: before.apiKey });
    onTestFinished(() => after.stop());
    expect(await published).toMatchObject({ duplicate: false });
    expect([statuses[0], statuses.at(-1)]).toEqual([503, 201]);
    expect(await held(job.$name, "", after)).toHaveLength(1);
  });

  describe("a program that crashes", () => {
    const folder = mkdtempSync(join(tmpdir(), "sluice-crash-"));
    afterAll(() => rmSync(folder, { recursive: true, force: true }));

    // The program is a process of its own, so that SIGKILL is what it is elsewhere.
    beforeAll(async () => {
      const build = await rolldown({ input: fileURLToPath(new URL("../src/server/index.ts", import.meta.url)) });
      await build.write({ file: join(folder, "server.mjs") });
      writeFileSync(
        join(folder, "program.mjs"),
        `import { createServer } from "./server.mjs";
const [url, apiKey, channel] = process.argv.slice(2);
const any = { "~standard": { version: 1, vendor: "test", validate: (value) => ({ value }) } };
const ref = (topic) => ({ channel, topic, schema: any });
const run = createServer({ url, apiKey }).run(channel, "r");
await run.start().catch(({ code }) => {
  console.log(code);
  process.exit();
});
for (const step of ["one", "two"]) {
  const { duplicate } = await run.publish(step, ref("status"), { message: step });
  console.log(step, duplicate);
}
console.log("asking");
const answer = await run.ask("approve", ref("question"), { text: "Go on?" }, { reply: ref("answer"), match: ({ ok }) => ok });
console.log("answer", JSON.stringify(answer));
await run.publish("three", ref("status"), { message: "three" });
await run.complete();
console.log("done");
`,
      );
    });

    function start(name: string): { child: ChildProcess; lines: string[]; exited: Promise<unknown> } {
      const child = spawn(process.execPath, [join(folder, "program.mjs"), server.url, server.apiKey, name], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const lines: string[] = [];
      createInterface({ input: child.stdout }).on("line", (line) => lines.push(line));
      const exited = new Promise((resolve) => child.once("close", resolve));
      onTestFinished(() => void child.kill("SIGKILL"));
      return { child, lines, exited };
    }

    const asked = async (): Promise<boolean> => (await held(job.$name)).some(({ topic }) => topic === "question");

    test("runs again and publishes each step once, and has the answer that came while it was down", async () => {
      const first = start(job.$name);
      await holds(asked);
      first.child.kill("SIGKILL");
      await first.exited;
      expect(first.lines).toEqual(["one false", "two false", "asking"]);
      await sluice.publish(job.answer, { ok: false });
      await sluice.publish(job.answer, { ok: true });
      const second = start(job.$name);
      await second.exited;
      expect(second.lines).toEqual(["one true", "two true", "asking", 'answer {"ok":true}', "done"]);
      const third = start(job.$name);
      await third.exited;
      expect(third.lines).toEqual(["conflict"]); // the run has ended
      const messages = (await held(job.$name))
        .filter(({ kind }) => kind === "data")
        .map(({ topic, data }) => [topic, data.message ?? data.text ?? data.ok]);
      expect(messages).toEqual([
        ["status", "one"],
        ["status", "two"],
        ["question", "Go on?"],
        ["answer", false],
        ["answer", true],
        ["status", "three"],
      ]);
    });

    test("waits again, and gets the answer that comes then", async () => {
      const first = start(job.$name);
      await holds(asked);
      first.child.kill("SIGKILL");
      await first.exited;
      const second = start(job.$name);
      await holds(async () => (await subscribers(job.$name)) > 0);
      await sluice.publish(job.answer, { ok: true });
      await second.exited;
      expect(second.lines.slice(2)).toEqual(["asking", 'answer {"ok":true}', "done"]);
      expect((await held(job.$name)).filter(({ topic }) => topic === "question")).toHaveLength(1);
    });
  });

  describe("ask", () => {
    const ask = (options: { timeout?: number } = {}): Promise<unknown> =>
      sluice.run(job, "r").ask("s", job.question, { text: "?" }, { reply: job.answer, ...options });

    test("an answer from before the question is none", async () => {
      await sluice.publish(job.answer, { ok: false });
      const answer = ask();
      await holds(async () => (await held(job.$name)).length === 2);
      await sluice.publish(job.answer, { ok: true });
      expect(await answer).toEqual({ ok: true });
    });

    test("on a channel that does not exist yet", async () => {
      const user = jobs({ id: `user-${count}` });
      const answer = sluice.run(job, "r").ask("s", job.question, { text: "?" }, { reply: user.answer });
      await holds(async () => (await held(job.$name)).length === 1);
      await sluice.publish(user.answer, { ok: true });
      expect(await answer).toEqual({ ok: true });
    });

    test("the time that is over", async () => {
      await expect(ask({ timeout: 50 })).rejects.toMatchObject({ code: "timeout" });
    });

    test("the run that is cancelled", async () => {
      await sluice.run(job, "r").start();
      const ended = expect(ask()).rejects.toMatchObject({ code: "run-ended", detail: "cancelled" });
      await waiting();
      await sluice
        .run(job, "another")
        .start()
        .catch(() => undefined);
      await sluice.run(job, "r").start();
      await sluice.run(job, "r").cancel();
      await ended;
    });

    test("the channel that is deleted", async () => {
      const ended = expect(ask()).rejects.toMatchObject({ code: 4410 });
      await waiting();
      await fetch(`${server.url}/v1/channels/${encodeURIComponent(job.$name)}`, {
        method: "DELETE",
        headers: { Authorization: `Bearer ${server.apiKey}` },
      });
      await ended;
    });

    test("many at a time, each with its own answer", async () => {
      const answers = Array.from({ length: 20 }, (_, i) =>
        sluice.run(job, "r").ask(`s${i}`, job.question, { text: String(i) }, { reply: numbered(job.$name), match: ({ to }) => to === i }),
      );
      await waiting();
      for (let i = 19; i >= 0; i--) await sluice.publish(numbered(job.$name), { to: i });
      expect((await Promise.all(answers)).map(({ to }) => to)).toEqual([...Array(20).keys()]);
    });

    test("other messages that are lost hide nothing; answers that are lost may hide it", async () => {
      const other = await startSluice({ flags: ["--replay-messages", "2"] });
      onTestFinished(() => other.stop());
      const client = clientOf(other);
      const askThere = (options: { timeout?: number; signal?: AbortSignal }): Promise<unknown> =>
        client.run(job, "r").ask("s", job.question, { text: "?" }, { reply: job.answer, match: ({ ok }) => ok, ...options });
      const stop = new AbortController();
      const first = expect(askThere({ signal: stop.signal })).rejects.toBe("enough");
      await holds(async () => (await held(job.$name, "", other)).some(({ topic }) => topic === "question"));
      stop.abort("enough");
      await first;
      for (let i = 0; i < 5; i++) await client.publish(job.status, { message: String(i) });
      await expect(askThere({ timeout: 500 })).rejects.toMatchObject({ code: "timeout" });
      for (let i = 0; i < 5; i++) await client.publish(job.answer, { ok: false });
      await expect(askThere({ timeout: PATIENCE })).rejects.toMatchObject({ code: "gap" });
    });

    const numbered = (name: string): { channel: string; topic: "numbered"; schema: ReturnType<typeof staticSchema<{ to: number }>> } => ({
      channel: name,
      topic: "numbered",
      schema: staticSchema<{ to: number }>(),
    });

    const waiting = (): Promise<unknown> => holds(async () => (await subscribers(job.$name)) > 0);
  });
});
