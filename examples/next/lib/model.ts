import { openai } from "@ai-sdk/openai";
import { simulateReadableStream, type LanguageModel } from "ai";
import { MockLanguageModelV3 } from "ai/test";

const TEXT = `This text is scripted, because OPENAI_API_KEY is not set. With a key, a model writes here. Either way, \
each word takes the same path: the server publishes it to Sluice, and every page that shows the text reads it from there.

So reload this page now, in the middle of a sentence. What is written so far comes back at once, and the rest follows. \
Open the page in a second tab, and both show the same. Close both, and the text goes on without anybody who reads it.

Nothing has to be stored for that. Sluice holds the text while it grows, and for ten minutes after that. What your \
application wants to keep for longer, it saves when the text is complete.`;

/** Writes a fixed text, word by word, as a model does. */
const script = new MockLanguageModelV3({
  doStream: async () => ({
    stream: simulateReadableStream({
      chunkDelayInMs: 50,
      chunks: [
        { type: "text-start", id: "text" },
        ...TEXT.match(/\S+\s*/g)!.map((delta) => ({ type: "text-delta" as const, id: "text", delta })),
        { type: "text-end", id: "text" },
        {
          type: "finish",
          finishReason: { unified: "stop", raw: undefined },
          usage: {
            inputTokens: { total: undefined, noCache: undefined, cacheRead: undefined, cacheWrite: undefined },
            outputTokens: { total: undefined, text: undefined, reasoning: undefined },
          },
        },
      ],
    }),
  }),
});

/** OpenAI's model if its key is in the environment, or else the script. */
export const model: LanguageModel = process.env.OPENAI_API_KEY ? openai("gpt-5-mini") : script;
