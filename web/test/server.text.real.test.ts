// Texts that go on after a cut, with the real server behind a bad network. It needs the binary:
// SLUICE_BIN=../sluice npx vitest run test/server.text.real.test.ts

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { startSluice } from "../e2e/sluice.js";
import { channel, text } from "../src/index.js";
import {
  createServer,
  type RunHandle,
  type RunOptions,
  type ServerOptions,
  type SluiceServer,
  type TextOptions,
} from "../src/server/index.js";
import { linesOf } from "../src/server/ndjson.js";
import { startCutter, type Fate } from "./support/cutter.js";
import { random, type Random } from "./support/random.js";
import { holds } from "./support/patience.js";

type Server = Awaited<ReturnType<typeof startSluice>>;

const chats = channel({ name: ({ id }: { id: string }) => `chat:${id}`, topics: { answer: text() } });

/** A message of a text, as a reader gets it. */
interface Piece {
  readonly kind: "datastream-start" | "chunk" | "datastream-end";
  readonly stream_id: string;
  readonly offset?: number;
  readonly data: unknown;
}

/** One attempt at a text, as its readers saw it. */
interface Seen {
  readonly id: string;
  readonly attempt: number | undefined;
  text: string;
  end?: string;
}

const there = !!process.env.SLUICE_BIN;
if (!there) console.warn("test/server.text.real.test.ts is skipped: SLUICE_BIN does not name the server's binary");

describe.skipIf(!there)("texts, with the real server", () => {
  let server: Server;
  let answer: ReturnType<typeof chats>["answer"];
  let name: string;
  let count = 0;

  beforeAll(async () => {
    server = await startSluice({ flags: ["--max-text-bytes", "8MiB", "--replay-bytes", "8MiB"] });
  });
  afterAll(() => server.stop());
  beforeEach(() => {
    const chat = chats({ id: String(++count) });
    ({ answer, $name: name } = chat);
  });

  /** A network to the server, and a client behind it that does not wait long. */
  async function behind(fateOf?: () => Fate, options: Partial<ServerOptions> = {}, to = server) {
    const net = await startCutter(to.port, fateOf);
    onTestFinished(() => net.stop());
    const asked: unknown[] = []; // how far the text is
    const counted: typeof fetch = (input, init) => {
      if (init?.method === "HEAD") asked.push(input);
      return fetch(input, init);
    };
    return { net, asked, sluice: clientOf({ url: net.url, apiKey: to.apiKey }, { fetch: counted, ...options }) };
  }

  const clientOf = ({ url, apiKey }: { url: string; apiKey: string }, options: Partial<ServerOptions> = {}): SluiceServer =>
    createServer({ url, apiKey, retryMinMs: 1, retryMaxMs: 20, ...options });

  /**
   * Reads the channel as it is published, from the moment on when it is called. A piece that comes twice, or is
   * missing, is an error.
   */
  async function watch({ url, apiKey } = server, replay = "none") {
    const stop = new AbortController();
    onTestFinished(() => stop.abort());
    const headers = { Authorization: `Bearer ${apiKey}`, Accept: "application/x-ndjson" };
    const { body } = await fetch(`${url}/v1/subscribe?channel=${encodeURIComponent(name)}&replay=${replay}`, {
      headers,
      signal: stop.signal,
    });
    const seen: Seen[] = [];
    let bytes = 0; // of the last attempt
    let fault: unknown;
    const read = async (): Promise<void> => {
      for await (const line of linesOf(body)) {
        const { kind, stream_id: id, offset, data } = JSON.parse(line) as Piece;
        const last = seen.at(-1);
        if (kind === "datastream-start") {
          seen.push({ id, attempt: (data as { attempt?: number }).attempt, text: "" });
          bytes = 0;
        } else if (!kind || last?.id !== id || last.end) continue;
        else if (kind === "datastream-end") last.end = (data as { reason: string }).reason;
        else {
          expect(offset).toBe(bytes);
          last.text += data as string;
          bytes += Buffer.byteLength(data as string);
        }
      }
    };
    read().catch((error: unknown) => (fault = stop.signal.aborted ? undefined : error));
    return {
      seen,
      stop: () => stop.abort(),
      /** Waits for the nth attempt to end, or, if no end is given, for something of its text. */
      until: async (n: number, end?: string): Promise<Seen[]> => {
        await holds(() => fault ?? (end ? seen[n - 1]?.end === end : seen[n - 1]?.text));
        if (fault) throw fault as Error;
        return seen;
      },
    };
  }

  /** Cuts a text into pieces at random, also in the middle of characters. */
  function piecesOf(whole: string, { below, chance }: Random): (string | Uint8Array)[] {
    const pieces: (string | Uint8Array)[] = [];
    const longest = [3, 30, 3000, 100_000][below(4)]!;
    while (whole) {
      const part = whole.slice(0, 1 + below(longest));
      whole = whole.slice(part.length);
      const bytes = new TextEncoder().encode(part);
      if (chance(0.5) || !(part as { isWellFormed(): boolean } & string).isWellFormed()) pieces.push(part);
      else for (let at = 0, next = 0; at < bytes.length; at = next) pieces.push(bytes.slice(at, (next = at + 1 + below(longest))));
    }
    return pieces;
  }

  test.each(Array.from({ length: 30 }, (_, seed) => seed))("nothing is missing or there twice, wherever it is cut: %i", async (seed) => {
    const numbers = random(seed);
    const { below, chance, pick } = numbers;
    const whole = Array.from({ length: below(30_000) }, () => pick(["a", "é", "–", "🙂", "\n"])).join("");
    const longest = pick([700, 5000, 40_000]);
    const fateOf = (): Fate => ({
      ...(chance(0.9) && { up: 600 + below(longest) }), // at least a request without a body, so that it comes to its end
      ...(chance(0.3) && { down: below(500) }),
    });
    const { sluice } = await behind(fateOf, { retries: 100 });
    const { until } = await watch();
    const receipt = await sluice.stream(answer, piecesOf(whole, numbers));
    expect(receipt).toMatchObject({ bytes: Buffer.byteLength(whole) });
    expect(await until(1, "complete")).toEqual([{ id: receipt.stream_id, attempt: 1, text: whole, end: "complete" }]);
  });

  /** A source that gives a text piece by piece, and after the first ones waits. */
  function sourceOf(first: readonly string[], more: () => Promise<unknown>, rest: readonly string[]) {
    const source = {
      taken: 0,
      closed: false,
      async *[Symbol.asyncIterator]() {
        try {
          for (const piece of first) {
            source.taken += piece.length;
            yield piece;
          }
          await more();
          for (const piece of rest) {
            source.taken += piece.length;
            yield piece;
          }
        } finally {
          source.closed = true;
        }
      },
    };
    return source;
  }

  test("a long text goes on, too, of which only the end is kept", async () => {
    const { net, sluice } = await behind();
    const { until } = await watch();
    const pieces = Array.from({ length: 100 }, (_, n) => `${n} é\n`.repeat(4000)); // about 2.4 MB
    const cut = async (): Promise<void> => {
      net.block();
      net.unblock();
    };
    await sluice.stream(answer, sourceOf(pieces, cut, pieces));
    expect(net.cuts).toBeGreaterThan(0);
    const [seen] = await until(1, "complete");
    expect(seen!.text === pieces.join("") + pieces.join("")).toBe(true);
  });

  test("the source is not run ahead of the server, and goes on when that does", async () => {
    const HELD = 100_000;
    const { net, sluice, asked } = await behind(() => ({ hold: HELD }));
    const source = sourceOf(Array<string>(80).fill("0123456789abcdef".repeat(4096)), async () => undefined, []); // 5 MiB
    const done = sluice.stream(answer, source);
    await holds(() => asked.length > 5);
    expect(source.taken).toBeGreaterThanOrEqual(1 << 20);
    expect(source.taken).toBeLessThan((1 << 20) + HELD + (64 << 10) + 1);
    net.release();
    expect(await done).toMatchObject({ bytes: 5 << 20 });
  });

  test.each(["disk", "memory"])("a server that stops and comes back has the text: %s", async (engine) => {
    const folder = mkdtempSync(join(tmpdir(), "sluice-texts-"));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const flags = engine === "disk" ? ["--data", folder] : [];
    const before = await startSluice({ flags });
    const { sluice } = await behind(undefined, { retries: 1000 }, before);
    const first = await watch(before);
    let after!: Server;
    const restart = async (): Promise<void> => {
      await first.until(1);
      first.stop();
      await before.stop();
      after = await startSluice({ flags, port: before.port, apiKey: before.apiKey });
      onTestFinished(() => after.stop());
    };
    const receipt = await sluice.stream(answer, sourceOf(["before "], restart, ["after"]));
    const { until } = await watch(after, "all");
    expect(await until(1, "complete")).toEqual([{ id: receipt.stream_id, attempt: 1, text: "before after", end: "complete" }]);
  });

  describe("a text that the server has aborted", () => {
    let impatient: Server;
    beforeAll(async () => {
      impatient = await startSluice({ flags: ["--text-grace", "10ms"] });
    });
    afterAll(() => impatient.stop());

    /** Publishes a text, and breaks the connection for as long as the server waits after the first pieces. */
    async function interrupted(first: readonly string[], options: TextOptions = {}) {
      const { net, sluice } = await behind(undefined, { retries: 1000 }, impatient);
      const { until } = await watch(impatient);
      const outage = async (): Promise<void> => {
        await until(1);
        net.block();
        await until(1, "aborted");
        net.unblock();
      };
      const source = sourceOf(first, outage, ["after"]);
      return { source, until, result: sluice.stream(answer, source, options) };
    }

    test.each([1, 7])("begins again as the next attempt after %i", async (attempt) => {
      const { result, until } = await interrupted(["before "], { streamId: "s", attempt });
      await result;
      expect(await until(2, "complete")).toEqual([
        { id: "s", attempt, text: "before ", end: "aborted" },
        { id: "s", attempt: attempt + 1, text: "before after", end: "complete" },
      ]);
    });

    test("is lost if its beginning is no longer there", async () => {
      const { result, source } = await interrupted(Array<string>(30).fill("0123456789abcdef".repeat(4096)));
      await expect(result).rejects.toMatchObject({ code: "text-lost", status: 0 });
      await holds(() => source.closed);
    });

    test("was left by its source", async () => {
      const { until } = await watch(impatient);
      const fault = new Error("model gone");
      await expect(
        clientOf(impatient).stream(
          answer,
          sourceOf(["half"], () => Promise.reject(fault), []),
        ),
      ).rejects.toBe(fault);
      expect(await until(1, "aborted")).toMatchObject([{ text: "half" }]);
    });
  });

  test("a text that is complete is not read again, and its source is closed", async () => {
    const sluice = clientOf(server);
    const { until } = await watch();
    const first = await sluice.stream(answer, ["all"], { streamId: "s:1", attempt: 2, runId: "r" });
    expect(first).toMatchObject({ stream_id: "s:1", duplicate: false });
    const endless = sourceOf(["x"], () => new Promise((resolve) => setTimeout(resolve, 1)), Array<string>(1e6).fill("y"));
    expect(await sluice.stream(answer, endless, { streamId: "s:1", attempt: 2 })).toEqual({ ...first, duplicate: true });
    expect(endless.taken).toBeLessThan(1e6);
    await holds(() => endless.closed);
    expect(await until(1, "complete")).toEqual([{ id: "s:1", attempt: 2, text: "all", end: "complete" }]);
  });

  test("a program that starts again may send the same text from its beginning", async () => {
    const sluice = clientOf(server);
    const crash = new AbortController();
    const pieces = Array.from({ length: 100 }, (_, n) => `${n} é\n`.repeat(4000)); // more than a client keeps
    const crashed = sluice.stream(
      answer,
      sourceOf(pieces, async () => crash.abort("crash"), []),
      { streamId: "s", signal: crash.signal },
    );
    await expect(crashed).rejects.toBe("crash");
    const whole = Buffer.byteLength(pieces.join(""));
    expect(await sluice.stream(answer, pieces, { streamId: "s" })).toMatchObject({ bytes: whole, duplicate: false });
  });

  test("a text that goes on with another one is refused", async () => {
    const sluice = clientOf(server);
    const { until } = await watch();
    const options = { streamId: "s", attempt: 1 };
    const crash = new AbortController();
    const body = new ReadableStream({ start: (half) => half.enqueue(new TextEncoder().encode("one text")) });
    const path = `/v1/publish/${encodeURIComponent(name)}/${answer.topic}/stream?stream_id=s`;
    const headers = { Authorization: `Bearer ${server.apiKey}` };
    const sent = fetch(server.url + path, { method: "POST", headers, body, duplex: "half", signal: crash.signal } as RequestInit);
    await Promise.all([until(1).then(() => crash.abort("crash")), expect(sent).rejects.toBe("crash")]);
    await expect(sluice.stream(answer, ["another"], options)).rejects.toMatchObject({ code: "conflict", status: 409 });
    expect(await sluice.stream(answer, ["one text ends"], options)).toMatchObject({ duplicate: false });
    expect(await until(1, "complete")).toMatchObject([{ text: "one text ends" }]);
  });

  describe("a run that runs again", () => {
    const never = (): Promise<never> => new Promise(() => undefined);
    const runOf = (options?: RunOptions): RunHandle => clientOf(server).run(name, "r 1", options);

    test("replaces the text that it has left half-written, and does not write one twice", async () => {
      const { until } = await watch();
      const crash = new AbortController();
      const half = runOf().stream("draft", answer, sourceOf(["half"], never, []), { signal: crash.signal });
      half.catch(() => undefined);
      await until(1);
      crash.abort("crash");
      await expect(half).rejects.toBe("crash");
      const receipt = await runOf().stream("draft", answer, ["the whole"]);
      expect(receipt).toMatchObject({ bytes: 9, duplicate: false });
      for (const options of [{}, { attempt: 1 }, { attempt: 9 }]) {
        const source = sourceOf(["again"], never, []);
        expect(await runOf(options).stream("draft", answer, source)).toEqual({ ...receipt, duplicate: true });
        expect(source.taken).toBe(0);
      }
      const id = receipt.stream_id;
      expect(await until(2, "complete")).toEqual([
        { id, attempt: 1, text: "half", end: "aborted" },
        { id, attempt: 2, text: "the whole", end: "complete" },
      ]);
    });

    test("takes the text from the one before, even if that lives", async () => {
      const { until } = await watch();
      let awake!: () => void;
      const source = sourceOf(["old"], () => new Promise<void>((resolve) => (awake = resolve)), Array<string>(1e6).fill("."));
      const old = runOf({ attempt: 3 }).stream("draft", answer, source);
      old.catch(() => undefined);
      await until(1);
      const young = await runOf().stream("draft", answer, ["new"]);
      awake();
      await expect(old).rejects.toMatchObject({ code: "superseded", status: 409 });
      await holds(() => source.closed);
      expect(source.taken).toBeLessThan(1e6);
      expect(await until(2, "complete")).toMatchObject([
        { attempt: 3, text: "old", end: "superseded" },
        { id: young.stream_id, attempt: 4, text: "new" },
      ]);
    });

    test("as a lower attempt is refused while the higher one writes", async () => {
      const { until } = await watch();
      let go!: () => void;
      const higher = runOf({ attempt: 2 }).stream(
        "draft",
        answer,
        sourceOf(["a"], () => new Promise<void>((resolve) => (go = resolve)), ["b"]),
      );
      await until(1);
      await expect(runOf({ attempt: 1 }).stream("draft", answer, ["x"])).rejects.toMatchObject({ code: "superseded" });
      go();
      await higher;
      expect(await until(1, "complete")).toMatchObject([{ attempt: 2, text: "ab" }]);
    });

    test("many times at once leaves one text, which is whole", async () => {
      for (let round = 0; round < 10; round++) {
        const step = `step ${round}`;
        const { seen, stop } = await watch();
        const texts = Array.from({ length: 5 }, (_, n) => `${n} says `);
        const results = await Promise.allSettled(
          texts.map((text) =>
            runOf().stream(
              step,
              answer,
              sourceOf([text], () => new Promise((resolve) => setTimeout(resolve, 5)), [text]),
            ),
          ),
        );
        const receipts = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
        expect(receipts.length).toBeGreaterThan(0);
        for (const result of results) if (result.status === "rejected") expect(result.reason).toMatchObject({ status: 409 });
        await holds(() => seen.at(-1)?.end === "complete");
        stop();
        expect(texts.map((text) => text + text)).toContain(seen.at(-1)!.text);
        expect(new Set(seen.map(({ id }) => id)).size).toBe(1);
      }
    });
  });
});
