// Texts and the end of runs, with the real server. It needs the binary: SLUICE_BIN=../sluice npx vitest run test/text.real.test.ts

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { startSluice } from "../e2e/sluice.js";
import { channel, staticSchema, subscribe, text, type Subscription, type TextStream } from "../src/index.js";
import { createServer, type SluiceServer } from "../src/server/index.js";
import { holds } from "./support/patience.js";

const chats = channel({
  name: ({ id }: { id: string }) => `chat:${id}`,
  topics: { answer: text(), status: { schema: staticSchema<{ message: string }>() } },
});
type Chat = ReturnType<typeof chats>;

const PIECES = Array.from({ length: 400 }, (_, n) => `${n} – naïve 🙂\n`);
const WHOLE = PIECES.join("");

const there = !!process.env.SLUICE_BIN;
if (!there) console.warn("test/text.real.test.ts is skipped: SLUICE_BIN does not name the server's binary");

describe.skipIf(!there)("the real server", () => {
  let server: Awaited<ReturnType<typeof startSluice>>;
  let sluice: SluiceServer;
  let chat: Chat;
  let count = 0;

  beforeAll(async () => {
    server = await startSluice({ flags: ["--max-text-bytes", "64KiB"] });
    sluice = createServer({ url: server.url, apiKey: server.apiKey });
  });
  afterAll(() => server.stop());
  beforeEach(() => {
    chat = chats({ id: String(++count) });
  });

  const read = (options: { lastEventId?: string | null; replay?: "all" | "latest" } = {}): Subscription<TextStream<"answer">> =>
    subscribe({ url: server.url, token: server.apiKey, channel: chat, topics: ["answer"], onMessage: () => undefined, ...options });

  const answerOf = (sub: Subscription<TextStream<"answer">>): TextStream | undefined => sub.getSnapshot().byTopic.answer;

  /** Publishes the pieces, and waits half-way for what happens there. */
  async function publish(halfway: () => Promise<void>): Promise<void> {
    async function* source(): AsyncGenerator<string> {
      for (const [n, piece] of PIECES.entries()) {
        if (n === PIECES.length / 2) await halfway();
        yield piece;
      }
    }
    await sluice.stream(chat.answer, source());
  }

  test("who comes early, in the middle or late gets the whole text, and who leaves and resumes, too", async () => {
    const early = read();
    await holds(() => early.getSnapshot().status === "open");
    let resumed!: Subscription<TextStream<"answer">>;
    let middle!: Subscription<TextStream<"answer">>;
    await publish(async () => {
      await holds(() => (answerOf(early)?.text.length ?? 0) > 500);
      const leaving = read({ replay: "latest" });
      await holds(() => (answerOf(leaving)?.text.length ?? 0) > 500);
      leaving.pause();
      leaving.resume(); // goes on in the middle of the text
      resumed = leaving;
      middle = read({ replay: "all" });
      await holds(() => (answerOf(middle)?.text.length ?? 0) > 500);
    });
    const late = read({ replay: "latest" });
    for (const sub of [early, middle, resumed, late]) {
      await holds(() => answerOf(sub)?.complete);
      expect(answerOf(sub)).toMatchObject({ text: WHOLE, state: "complete", partial: false });
      sub.close();
    }
  });

  test("a text that is too long begins later", async () => {
    const long = "0123456789abcde\n".repeat(8192); // 128 KiB
    await sluice.stream(chat.answer, [long]);
    const late = read({ replay: "latest" });
    await holds(() => answerOf(late)?.complete);
    const { text: end, partial } = answerOf(late)!;
    expect(partial).toBe(true);
    expect(end.length).toBeGreaterThan(0);
    expect(end.length).toBeLessThanOrEqual(64 << 10);
    expect(long.endsWith(end)).toBe(true);
    late.close();
  });

  test("a loop until the end of the run ends with it, and one that begins afterwards ends at once", async () => {
    const run = sluice.run(chat, "r");
    await run.start();
    await sluice.publish(chat.status, { message: "before" });
    const options = { url: server.url, token: server.apiKey, channel: chat, topics: ["status"], until: "end" } as const;
    const sub = subscribe({ ...options, replay: "all" });
    const got: string[] = [];
    for await (const { data } of sub) {
      got.push(data.message);
      if (got.length > 1) continue;
      await sluice.publish(chat.status, { message: "then" });
      await run.complete(42);
    }
    expect(got).toEqual(["before", "then"]);
    expect(sub.getSnapshot()).toMatchObject({ status: "closed", error: null, run: { status: "completed", result: 42 } });

    const again = subscribe({ ...options, lastEventId: sub.getSnapshot().position });
    for await (const message of again) expect.unreachable(JSON.stringify(message));
    expect(again.getSnapshot()).toMatchObject({ status: "closed", error: null });
  });
});
