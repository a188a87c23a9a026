// The programs of docs/models.md, as they stand, with the real clients, a server that plays the models, and the real Sluice.
// It needs the binary: SLUICE_BIN=../sluice npx vitest run test/models.real.test.ts

import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { rolldown } from "rolldown";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { startSluice } from "../e2e/sluice.js";
import { decoder, type Part } from "../src/ai/encoding.js";
import { textOf } from "../src/ai/index.js";
import { subscribe, type Message } from "../src/index.js";
import { blocksOf } from "./support/markdown.js";
import { holds } from "./support/patience.js";

const WEB = fileURLToPath(new URL("..", import.meta.url));
const page = readFileSync(join(WEB, "../docs/models.md"), "utf8");
const blocks = blocksOf("models.md", page);
const programs = blocks.filter(({ named }) => !named);

/** The chat or the text that a program publishes. */
const nameOf = (text: string): string => /chats\(\{ id: "(\w+)" \}\)/.exec(text)![1]!;

const WORDS = ["Hello", ", ", "world"];

/** What a model sends, by the path of the request. */
const scripts: Record<string, readonly object[]> = {
  "/v1/chat/completions": [...["", ...WORDS].map((content) => ({ delta: { content } })), { delta: {}, finish_reason: "stop" }].map(
    (choice) => ({ id: "c", object: "chat.completion.chunk", created: 1, model: "m", choices: [{ index: 0, ...choice }] }),
  ),
  "/v1/messages": [
    {
      type: "message_start",
      message: { id: "m", type: "message", role: "assistant", content: [], model: "m", usage: { input_tokens: 1, output_tokens: 1 } },
    },
    { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
    ...WORDS.map((text) => ({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text } })),
    { type: "content_block_stop", index: 0 },
    { type: "message_delta", delta: { stop_reason: "end_turn", stop_sequence: null }, usage: { output_tokens: 3 } },
    { type: "message_stop" },
  ],
};

const there = !!process.env.SLUICE_BIN;
if (!there) console.warn("test/models.real.test.ts is skipped: SLUICE_BIN does not name the server's binary");

test("each client has a program that is tested", () => {
  expect(programs.map(({ text }) => nameOf(text))).toEqual(["openai", "anthropic", "langchain", "llamaindex", "strings", "text"]);
});

describe.skipIf(!there)("the program for", () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-models-"));
  let sluice: Awaited<ReturnType<typeof startSluice>>;
  let models: Server;

  beforeAll(async () => {
    models = createServer((request, response) => {
      const events = scripts[request.url!];
      response.writeHead(events ? 200 : 404, { "Content-Type": "text/event-stream" });
      for (const event of events ?? [])
        response.write(`${"type" in event ? `event: ${String(event.type)}\n` : ""}data: ${JSON.stringify(event)}\n\n`);
      response.end("data: [DONE]\n\n");
    }).listen(0, "127.0.0.1");
    await once(models, "listening");
    sluice = await startSluice();
    const url = `http://127.0.0.1:${(models.address() as AddressInfo).port}`;
    const settings = { SLUICE_URL: sluice.url, SLUICE_API_KEY: sluice.apiKey, OPENAI_BASE_URL: `${url}/v1`, ANTHROPIC_BASE_URL: url };
    for (const [name, value] of Object.entries({ ...settings, OPENAI_API_KEY: "none", ANTHROPIC_API_KEY: "none" })) vi.stubEnv(name, value);

    const files = new Map(
      blocks.map(({ name, named, text }) => [
        join(WEB, "pages", named ? name : `${nameOf(text)}.ts`),
        named ? text : `import { chats, sluice } from "./chat.js";\n${text}`,
      ]),
    );
    const built = await rolldown({
      input: Object.fromEntries(programs.map(({ text }) => [nameOf(text), join(WEB, "pages", `${nameOf(text)}.ts`)])),
      platform: "node",
      resolve: {
        alias: Object.fromEntries(
          [
            ["/ai", "ai/index"],
            ["/server", "server/index"],
            ["", "index"],
          ].map(([entry, file]) => [`@sluicehq/sluice${entry}`, join(WEB, `src/${file}.ts`)]),
        ),
      },
      checks: { eval: false },
      plugins: [
        {
          name: "pages",
          resolveId: (id, from) => (id === "./chat.js" && files.has(from ?? "") ? join(WEB, "pages/chat.ts") : files.has(id) ? id : null),
          load: (id) => files.get(id) ?? null,
        },
      ],
    });
    await built.write({ dir: folder, entryFileNames: "[name].mjs", chunkFileNames: "[name].mjs" });
    await built.close();
  });
  afterAll(async () => {
    vi.unstubAllEnvs();
    models.close();
    await sluice.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test.each(programs.map(({ text }) => nameOf(text)))("%s", async (name) => {
    await import(/* @vite-ignore */ pathToFileURL(join(folder, `${name}.mjs`)).href);
    const subscription = subscribe({
      url: sluice.url,
      token: sluice.apiKey,
      channel: `chat:${name}`,
      topics: ["answer", "draft"],
      replay: "latest",
    });
    const held = (await holds(() =>
      Object.values<Message | undefined>(subscription.getSnapshot().byTopic).find(
        (message) => message?.kind === "stream" && message.complete,
      ),
    )) as { text: string };
    subscription.close();
    if (name === "text") return expect(held.text).toBe("Hello, world");
    const parts: Part[] = [];
    decoder((part) => parts.push(part))(held.text);
    expect(parts.map(({ type }) => type)).toEqual(["start", "text-start", "text-delta", "text-end", "finish"]);
    expect(parts[2]).toMatchObject({ delta: "Hello, world" });
  });
});

test("the events of a response of OpenAI, and what is not text, are told apart", async () => {
  const events = [
    { type: "response.created", response: {} },
    { type: "response.output_text.delta", delta: "a" },
    { type: "response.function_call_arguments.delta", delta: "{" },
    { type: "content_block_delta", delta: { type: "input_json_delta", partial_json: "{" } },
    { content: [{ type: "text", text: "b" }, { type: "image_url" }] },
    { data: { delta: "c" } },
    { choices: [] },
    { choices: [{ text: "d" }] },
    { type: "data-a.b_c", data: "not text" },
  ];
  const texts: string[] = [];
  for await (const text of textOf(events)) texts.push(text);
  expect(texts).toEqual(["a", "b", "c", "d"]);
});
