// OpenAI's API as far as streamText of the AI SDK uses it. A test says what the model writes, and when.

import { once } from "node:events";
import { createServer } from "node:http";
import { json } from "node:stream/consumers";

/** Starts a model. `settings` are the variables with which OpenAI's client finds it. */
export async function startModel() {
  const questions = [];
  const waiting = [];

  const server = createServer(async (request, response) => {
    const { input } = await json(request);
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    const send = (type, fields) => response.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`);
    const item = { type: "message", id: "msg_1", role: "assistant", status: "in_progress", content: [] };
    const about = { id: "resp_1", created_at: 1, model: "gpt-5-mini" };
    send("response.created", { response: about });
    send("response.output_item.added", { output_index: 0, item });
    const question = {
      /** What was asked last. */
      text: input.at(-1).content.map(({ text }) => text).join(""),
      /** How many messages the model was sent, besides instructions. */
      messages: input.filter(({ role }) => role !== "system" && role !== "developer").length,
      /** Writes a part of the answer. */
      write: (delta) => send("response.output_text.delta", { item_id: item.id, output_index: 0, content_index: 0, delta }),
      /** Completes the answer. */
      end() {
        send("response.output_item.done", { output_index: 0, item: { ...item, status: "completed" } });
        send("response.completed", { response: { ...about, usage: { input_tokens: 1, output_tokens: 1 } } });
        response.end();
      },
      /** Is fulfilled when whoever asked has gone. */
      left: once(response, "close"),
    };
    const next = waiting.shift();
    if (next) next(question);
    else questions.push(question);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");

  return {
    settings: { OPENAI_API_KEY: "none", OPENAI_BASE_URL: `http://127.0.0.1:${server.address().port}/v1` },
    /** Waits for the next question. */
    asked: () => (questions.length ? Promise.resolve(questions.shift()) : new Promise((resolve) => waiting.push(resolve))),
    stop() {
      server.closeAllConnections();
      server.close();
    },
  };
}
