// Answers from publishAnswer to useChat's Chat, with the real server and both versions of the AI SDK that are supported.
// It needs the binary: SLUICE_BIN=../sluice npx vitest run test/ai.real.test.ts

import * as react6 from "@ai-sdk/react";
import { readUIMessageStream, type UIMessage, type UIMessageChunk } from "ai";
import * as react7 from "ai7-react";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { play, script } from "../e2e/script.js";
import { startSluice } from "../e2e/sluice.js";
import { answerTopics, publishAnswer, SluiceChatTransport, type AnswerOptions, type SluiceChatTransportOptions } from "../src/ai/index.js";
import { channel } from "../src/index.js";
import { createServer, type SluiceServer } from "../src/server/index.js";
import { startCutter, type Cutter } from "./support/cutter.js";
import { holds } from "./support/patience.js";
import { random } from "./support/random.js";

type Part = UIMessageChunk;

const chats = channel({ name: ({ id }: { id: string }) => `chat:${id}`, topics: answerTopics });
const question: UIMessage = { id: "q", role: "user", parts: [{ type: "text", text: "How is the weather?" }] };

/** What the AI SDK makes of parts that nothing disturbs. */
async function messageOf(parts: readonly Part[]): Promise<UIMessage | undefined> {
  const stream = new ReadableStream<Part>({
    start(to) {
      for (const part of structuredClone(parts)) to.enqueue(part);
      to.close();
    },
  });
  let message: UIMessage | undefined;
  for await (message of readUIMessageStream({ stream }));
  return message;
}

/** How long the text and the reasoning are. */
function lengthOf(parts: readonly Part[]): number {
  return parts.reduce((sum, part) => sum + ("delta" in part ? part.delta.length : 0), 0);
}

function shownBy(message: UIMessage | undefined): number {
  return message?.role === "assistant" ? message.parts.reduce((sum, part) => sum + ("text" in part ? part.text.length : 0), 0) : 0;
}

const there = !!process.env.SLUICE_BIN;
if (!there) console.warn("test/ai.real.test.ts is skipped: SLUICE_BIN does not name the server's binary");

describe.skipIf(!there).each([
  [6, react6],
  [7, react7 as unknown as typeof react6],
])("an answer, with version %i of the AI SDK,", (version, { Chat }) => {
  let server: Awaited<ReturnType<typeof startSluice>>;
  let sluice: SluiceServer;
  let network: Cutter;
  let fateOf: () => { down?: number };
  let id: string;
  let token: string;
  let count = 0;

  beforeAll(async () => {
    server = await startSluice();
    sluice = createServer({ url: server.url, apiKey: server.apiKey });
    network = await startCutter(server.port, () => fateOf());
  });
  afterAll(async () => {
    await network?.stop();
    await server?.stop();
  });
  beforeEach(async () => {
    id = String(++count);
    ({ token } = await sluice.token({ channel: chats({ id }), topics: ["answer"], publish: [chats({ id }).control] }));
    fateOf = () => ({});
  });

  type Source = Parameters<typeof publishAnswer>[2];
  const publish = (source: Source, options: AnswerOptions = {}): ReturnType<typeof publishAnswer> =>
    publishAnswer(sluice, chats({ id }), source, options);

  /** A page that shows the chat. The source is what its requests are answered with. */
  function open(source?: Source, options: Partial<SluiceChatTransportOptions> & { messages?: UIMessage[]; publish?: AnswerOptions } = {}) {
    const faults: unknown[] = [];
    const transport = new SluiceChatTransport({
      url: network.url,
      token,
      channel: (chatId) => chats({ id: chatId }),
      api: () => publish(source!, options.publish),
      reconnectMinMs: 1,
      reconnectMaxMs: 20,
      ...options,
    });
    const chat = new Chat({ id, transport, messages: options.messages ?? [], onError: (error: Error) => faults.push(error) });
    return { chat, transport, faults, last: () => chat.messages.at(-1), follow: () => transport.follow(id, () => chat.resumeStream()) };
  }

  /** Waits until a page shows as much as the parts say. */
  const shows = ({ last }: ReturnType<typeof open>, parts: readonly Part[]): Promise<unknown> => {
    const length = lengthOf(parts);
    return holds(() => shownBy(last()) === length, 5);
  };

  test("is what it is without a network in between, whatever the network does", async () => {
    const parts = script(3000, "m1") as Part[];
    const before = network.cuts;
    const { below } = random(count);
    const places = new Set<number>();
    while (places.size < 50) places.add(1 + below(parts.length - 1));
    let connections = 0;
    fateOf = () => (connections++ % 3 === 2 ? { down: 1000 + below(20_000) } : {}); // these break by themselves, too
    const page = open(() =>
      play(parts, async (i) => {
        if (!places.has(i)) return;
        await shows(page, parts.slice(0, i));
        const { cuts } = network;
        await holds(() => {
          network.block(); // breaks what there is: perhaps nothing yet
          network.unblock();
          return network.cuts > cuts;
        }, 5);
      }),
    );
    await page.chat.sendMessage({ text: "?" });
    expect(network.cuts - before).toBeGreaterThanOrEqual(50);
    expect(page.faults).toEqual([]);
    expect(page.last()).toEqual(await messageOf(parts));
    expect(page.chat.status).toBe("ready");
    await server.deserted(chats({ id }).$name); // neither page nor publisher waits for anything
  });

  test("is shown and goes on after a reload, and on a second page, for no more bytes than it has", async () => {
    const parts = script(3000, "m2") as Part[];
    const pages: ReturnType<typeof open>[] = [];
    const whole = await messageOf(parts);
    const source = play(parts, async (i) => {
      if (i === 0 || i % 145 > 0) return;
      await shows(pages[0]!, parts.slice(0, i));
      let bytes = 0;
      const counted: typeof fetch = async (input, init) => {
        const response = await fetch(input, init);
        const count = new TransformStream<Uint8Array, Uint8Array>({
          transform: (chunk, to) => ((bytes += chunk.length), to.enqueue(chunk)),
        });
        return new Response(response.body!.pipeThrough(count), response);
      };
      const page = open(undefined, { messages: [question], fetch: counted });
      pages.push(page);
      void page.chat.resumeStream();
      await shows(page, parts.slice(0, i));
      // Besides the answer, a stream has an event with which it opens, and one with which the answer starts.
      expect(bytes, `after ${i} parts`).toBeLessThan(1.2 * new TextEncoder().encode(JSON.stringify(page.last())).length + 1200);
    });
    pages.push(open(() => source));
    await pages[0]!.chat.sendMessage({ text: "?" });
    for (const [i, { chat, faults, last }] of pages.entries()) {
      await holds(() => chat.status === "ready");
      expect(faults).toEqual([]);
      expect(last(), `page ${i}`).toEqual(whole);
      expect(chat.messages).toHaveLength(2);
    }
    expect(pages).toHaveLength(21);
  });

  /** Waits until the signal aborts. */
  const aborted = (signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => (signal.aborted ? resolve() : signal.addEventListener("abort", () => resolve())));

  test("ends for all pages when one of them stops it", async () => {
    const parts = script(200, "m3") as Part[];
    let stop!: AbortSignal;
    const first = open(({ signal }) => {
      stop = signal;
      return play(parts, async (i) => {
        if (i === 60) await sluice.publish(chats({ id }).control, { stop: "another" });
        if (i === 120) await aborted(signal).then(() => Promise.reject(new Error("stopped")));
      });
    });
    const sent = first.chat.sendMessage({ text: "?" });
    await shows(first, parts.slice(0, 120));
    const second = open();
    const resumed = second.chat.resumeStream();
    await shows(second, parts.slice(0, 120));
    expect(stop.aborted).toBe(false);
    await second.transport.stop(id);
    await Promise.all([sent, resumed]);
    const before = await messageOf(parts.slice(0, 120));
    expect([first.last(), second.last()]).toEqual([before, before]);
    expect([first.chat.status, second.chat.status]).toEqual(["ready", "ready"]);
    expect([...first.faults, ...second.faults]).toEqual([]);
    await server.deserted(chats({ id }).$name);
  });

  test("is stopped although the server has not said for long whether it is", async () => {
    let lost = 0;
    const away: typeof fetch = (input, init) => {
      if (!/\/messages\b/.test(String(input)) || lost === 3) return fetch(input, init);
      lost++;
      return Promise.reject(new TypeError("fetch failed"));
    };
    const far = createServer({ url: server.url, apiKey: server.apiKey, fetch: away, retries: 0 });
    let stop!: AbortSignal;
    const answer = await publishAnswer(far, chats({ id }), async function* ({ signal }) {
      stop = signal;
      yield "The weather is ";
      await aborted(signal);
    });
    await sluice.publish(chats({ id }).control, { stop: answer.id });
    await answer.done;
    expect(stop.aborted).toBe(true);
    expect(lost).toBe(3);
  });

  test.each([true, false])("is stopped before the page knows it, published by then: %j", async (published) => {
    let reply!: () => void;
    const replied = new Promise<void>((resolve) => (reply = resolve));
    let begun: AbortSignal | undefined;
    const source: Source = async ({ signal }) => {
      begun = signal;
      await aborted(signal);
      return [];
    };
    const page = open(undefined, {
      api: async () => {
        if (!published) await replied;
        const answer = await publish(source);
        await replied;
        return answer;
      },
    });
    const sent = page.chat.sendMessage({ text: "?" });
    if (!published) expect(await page.transport.reconnectToStream({ chatId: id })).toBeNull();
    const stopped = page.transport.stop(id);
    reply();
    await Promise.all([sent, stopped]);
    expect(begun?.aborted).toBe(true);
  });

  test.runIf(version === 6)("ends although its model does not listen to the signal", async () => {
    const page = open(() => play(["a", "b"], (i) => (i ? new Promise(() => undefined) : i)));
    const sent = page.chat.sendMessage({ text: "?" });
    await holds(() => page.last()?.role === "assistant");
    await page.transport.stop(id);
    await sent;
    expect(page.last()?.parts).toMatchObject([{ type: "text", text: "a" }]);
  });

  test("goes on when a page leaves", async () => {
    const parts = script(200, "m4") as Part[];
    let go!: () => void;
    const gone = new Promise<void>((resolve) => (go = resolve));
    let done: Promise<unknown> | undefined;
    const first = open(undefined, {
      api: async () => {
        const answer = await publish(({ signal }) => play(parts, (i) => i === 100 && gone.then(() => signal.throwIfAborted())));
        done = answer.done;
        return answer;
      },
    });
    const resume = vi.fn();
    onTestFinished(first.transport.follow(id, resume));
    const sent = first.chat.sendMessage({ text: "?" });
    await shows(first, parts.slice(0, 100));
    await first.chat.stop();
    await sent;
    expect(first.faults).toEqual([]);
    go();
    await done;
    expect(resume).not.toHaveBeenCalled(); // whoever has left is not taken back
    const second = open(undefined, { messages: [question] });
    await second.chat.resumeStream();
    expect(second.last()).toEqual(await messageOf(parts)); // it had ended, and nobody has shown it
    await second.chat.resumeStream();
    expect(second.chat.messages).toHaveLength(2);
    const third = open(undefined, { messages: [question, second.last()!], isShown: () => true });
    expect(await third.transport.reconnectToStream({ chatId: id })).toBeNull();
  });

  test("is replaced when the function that gives it is tried again", async () => {
    const [half, whole] = [script(150, "m5", 2), script(180, "m5", 3)] as [Part[], Part[]];
    const again = { id: "a5", retries: true };
    let fail!: (error: Error) => void;
    const failure = new Promise<void>((_, reject) => (fail = reject));
    const page = open(undefined, {
      api: async () => {
        const { id, done } = await publish(() => play(half, (i) => i === 100 && failure), again);
        done.catch(async () => publish(() => play(whole), again));
        return { id };
      },
    });
    const unfollow = page.follow();
    const late = open(undefined, { messages: [question] });
    const unfollowLate = late.follow();
    void page.chat.sendMessage({ text: "?" });
    await shows(page, half.slice(0, 100));
    await shows(late, half.slice(0, 100));
    fail(new Error("out of memory"));
    await shows(page, whole);
    await shows(late, whole);
    for (const { chat, faults, last } of [page, late]) {
      await holds(() => chat.status === "ready");
      expect(faults).toEqual([]);
      expect(chat.messages).toHaveLength(2);
      expect(last()).toEqual(await messageOf(whole));
    }
    unfollow();
    unfollowLate();
    // Once it is complete, the model is not asked again.
    const third = await publish(() => expect.unreachable(), again);
    expect(await third.done).toMatchObject({ duplicate: true });
  });

  test("that is asked for on one page is shown on another that follows", async () => {
    const parts = script(100, "m6") as Part[];
    const watching = open(undefined, { messages: [question] });
    onTestFinished(watching.follow());
    const asking = open(() => play(parts));
    await asking.chat.sendMessage({ text: "?" });
    await shows(watching, parts);
    await holds(() => watching.chat.status === "ready");
    expect(watching.last()).toEqual(await messageOf(parts));
    expect(watching.chat.messages).toHaveLength(2);
    expect(await watching.transport.reconnectToStream({ chatId: id })).toBeNull(); // it has all of it
  });

  test("of another page waits until the one that is read has ended", async () => {
    const [own, other] = [script(60, "m7"), script(60, "m8", 2)] as [Part[], Part[]];
    let go!: () => void;
    let gone = false;
    const gate = new Promise<void>((resolve) => (go = resolve));
    const page = open(() => play(own, (i) => i === 30 && gate));
    const resumed: boolean[] = [];
    onTestFinished(page.transport.follow(id, () => (resumed.push(gone), page.chat.resumeStream())));
    const sent = page.chat.sendMessage({ text: "?" });
    await shows(page, own.slice(0, 30));
    await (
      await publish(() => play(other))
    ).done;
    const watching = open();
    onTestFinished(watching.follow());
    await shows(watching, other);
    gone = true;
    go();
    await sent;
    await shows(page, other);
    await holds(() => page.chat.status === "ready");
    expect(resumed).toEqual([true]);
    expect(page.chat.messages.slice(1)).toEqual([await messageOf(own), await messageOf(other)]);
    expect(page.faults).toEqual([]);
  });

  test("of another page is shown when the page's own request has failed", async () => {
    const parts = script(60, "m10") as Part[];
    let fail!: () => void;
    let failed = false;
    const failure = new Promise<void>((resolve) => (fail = resolve));
    const page = open(undefined, { api: async () => failure.then(() => Promise.reject(new Error("no credit"))) });
    const resumed: boolean[] = [];
    onTestFinished(page.transport.follow(id, () => (resumed.push(failed), page.chat.resumeStream())));
    const sent = page.chat.sendMessage({ text: "?" });
    await (
      await publish(() => play(parts))
    ).done;
    const watching = open();
    onTestFinished(watching.follow());
    await shows(watching, parts);
    failed = true;
    fail();
    await sent;
    await shows(page, parts);
    expect(resumed).toEqual([true]);
    expect(page.faults).toMatchObject([{ message: "no credit" }]);
  });

  test("is read once by a page, however often that resumes", async () => {
    const parts = script(60, "m9") as Part[];
    let go!: () => void;
    const gate = new Promise<void>((resolve) => (go = resolve));
    const { done } = await publish(() => play(parts, (i) => i === 30 && gate));
    const page = open();
    onTestFinished(page.follow());
    await shows(page, parts.slice(0, 30));
    const read = async (): Promise<number> => {
      let length = 0;
      for await (const part of (await page.transport.reconnectToStream({ chatId: id }))!) length += lengthOf([part as Part]);
      return length;
    };
    const first = read();
    await holds(() => page.chat.status === "ready"); // what it has read has ended
    const second = read();
    expect(await first).toBe(lengthOf(parts.slice(0, 30)));
    go();
    expect(await second).toBe(lengthOf(parts));
    await done;
  });

  test("is an error if its source fails, and if its publisher is lost", async () => {
    const page = open(
      () =>
        play(["a", "b"], (i) => {
          if (i) throw new Error("no credit");
        }),
      { publish: { onError: (error) => `Sorry: ${(error as Error).message}` }, retryWaitMs: 50 },
    );
    await page.chat.sendMessage({ text: "?" });
    expect(page.faults).toMatchObject([{ message: "Sorry: no credit" }]);
    expect(page.chat.status).toBe("error");
    const lost = open(
      () =>
        play(["a", "b"], async (i) => {
          if (!i) return;
          await holds(() => shownBy(lost.last()));
          throw new Error("out of memory");
        }),
      { publish: { retries: true }, retryWaitMs: 50 },
    );
    await lost.chat.sendMessage({ text: "?" });
    expect(lost.faults).toMatchObject([{ message: "The answer broke off" }]);
  });

  test("is resumed in the middle of a tool's input without doubling that", async () => {
    const parts = script(400, "m11") as Part[];
    const middle = parts.findIndex(({ type }) => type === "tool-input-delta") + 20;
    let go!: () => void;
    const gate = new Promise<void>((resolve) => (go = resolve));
    await publish(() => play(parts, (i) => i === middle && gate));
    const page = open();
    onTestFinished(page.follow());
    await holds(() => page.last()?.parts.some((part) => "input" in part && part.input));
    const resumed = page.chat.resumeStream();
    go();
    await resumed;
    expect(page.last()).toEqual(await messageOf(parts));
    expect(page.chat.messages).toHaveLength(1);
  });

  test("has its id and its end, even if the source says neither, and is asked for with what the page passes", async () => {
    const texts = ["a", "b"];
    const delta: Part[] = [
      { type: "start" },
      { type: "text-start", id: "1" },
      { type: "text-delta", id: "1", delta: "ab" },
      { type: "text-end", id: "1" },
    ];
    for (const source of [texts, delta]) {
      const asked: unknown[] = [];
      const page = open(undefined, {
        api: async ({ plan }, { headers }) => {
          asked.push(plan, new Headers(headers).get("x-plan"));
          return publish(() => source);
        },
      });
      await page.chat.sendMessage({ text: "?" }, { body: { plan: 7 }, headers: { "X-Plan": "seven" } });
      expect(asked).toEqual([7, "seven"]);
      expect(page.last()).toMatchObject({
        id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        parts: [{ type: "text", text: "ab", state: "done" }],
      });
    }
  });

  test("that is replaced is not generated any further", async () => {
    let signal!: AbortSignal;
    let go!: () => void;
    const gate = new Promise<void>((resolve) => (go = resolve));
    const source: Source = (given) => {
      signal = given.signal;
      return play(["old", ...Array<string>(1e5).fill(".")], (i) => (i === 1 ? gate : new Promise(setImmediate)));
    };
    const first = await publish(source, { id: "a6" });
    const page = open();
    onTestFinished(page.follow());
    await holds(() => shownBy(page.last()) === 3);
    await (
      await publish(() => ["the new"], { id: "a6" })
    ).done;
    go(); // who writes into an answer that was replaced is told so
    await expect(first.done).rejects.toMatchObject({ code: "superseded" });
    expect(signal.aborted).toBe(true);
    await holds(() => shownBy(page.last()) === 7);
  });

  test("cannot be asked for where nothing can be published", async () => {
    const other = createServer({ url: server.url, apiKey: "no" });
    await expect(publishAnswer(other, chats({ id }), () => [])).rejects.toMatchObject({ code: "unauthorized" });
    const page = open(undefined, { api: async () => new Response("no credit", { status: 402 }) });
    await page.chat.sendMessage({ text: "?" });
    expect(page.faults).toMatchObject([{ message: "no credit" }]);
    const refused = open(() => [], { token: "no" });
    await refused.chat.sendMessage({ text: "?" });
    expect(refused.faults).toMatchObject([{ code: "unauthorized" }]);
    await refused.chat.resumeStream();
    expect(refused.faults).toHaveLength(2);
    const slow = open(undefined, {
      token: "no",
      api: async () => {
        await expect(slow.transport.stop(id)).rejects.toMatchObject({ code: "unauthorized" }); // by now, the subscription is refused
        return { id: "a" };
      },
    });
    await slow.chat.sendMessage({ text: "?" });
    expect(slow.faults).toMatchObject([{ code: "unauthorized" }]);
  });
});
