// The site of a chat, as a program of its own, so that each version of the AI SDK runs on the Node.js that it needs:
// node chatsite.js MODULE SLUICE_URL API_KEY, where MODULE is "ai" or "ai7". The code of its page comes on standard input.

import { createServer } from "node:http";
import { text as textOf } from "node:stream/consumers";
import { answerTopics, publishAnswer } from "../dist/ai.js";
import { channel } from "../dist/index.js";
import { createServer as createClient } from "../dist/server.js";
import { joined, stepsOf } from "./scripted.js";

const PAGE = '<!doctype html><link rel="icon" href="data:,"><div id="root"></div><script type="module" src="/app.js"></script>';

const [version, url, apiKey] = process.argv.slice(2);
const { convertToModelMessages, jsonSchema, readUIMessageStream, stepCountIs, isStepCount = stepCountIs, streamText, tool } = await import(
  version
);
const { MockLanguageModelV3, MockLanguageModelV4 = MockLanguageModelV3 } = await import(`${version}/test`);

const chats = channel({ name: ({ id }) => `chat:${id}`, topics: answerTopics });
const sluice = createClient({ url, apiKey });
const histories = new Map(); // by chat, as a database would have them
const answers = new Map(); // by chat

function answerOf(chat) {
  if (!answers.has(chat)) answers.set(chat, new Answer());
  return answers.get(chat);
}

/** The answer of a chat: what its model says, and where the model waits. */
class Answer {
  #parts = []; // what was published
  #published = 0; // in characters of what the model writes
  #said = 0; // in the same
  #gates = [];
  #count = 0; // of the model's parts
  #last; // of them
  #stopped = false;
  #gate = deferred();
  #go = () => undefined;

  /** Lets a model speak that waits at each gate: before the first part from that number on that follows a piece of a string. */
  model({ parts, steps, gates }) {
    this.#gates = [...gates].sort((a, b) => a - b);
    const left = stepsOf(parts, steps);
    return new MockLanguageModelV4({
      doStream: async ({ abortSignal }) => {
        const step = left.shift();
        const pull = async (to) => {
          await this.#turn(abortSignal);
          if (abortSignal.aborted) return to.error(abortSignal.reason);
          if (!step.length) return to.close();
          this.#last = step.shift();
          this.#count++;
          this.#said += this.#last.delta?.length ?? 0;
          to.enqueue(this.#last);
        };
        return { stream: new ReadableStream({ pull }, { highWaterMark: 0 }) };
      },
    });
  }

  async #turn(signal) {
    if (this.#count % 10 === 0) await new Promise(setImmediate); // so that other work is done in between, as with a real model
    if (!this.#last?.delta || !(this.#count >= this.#gates[0])) return;
    this.#gates.shift();
    while (this.#published < this.#said) await new Promise(setImmediate);
    await new Promise((resolve) => {
      this.#go = () => {
        signal.removeEventListener("abort", this.#go);
        resolve();
      };
      signal.addEventListener("abort", this.#go);
      this.#gate.resolve();
    });
    this.#stopped = signal.aborted;
  }

  /** Passes a stream on, and notes what it has. */
  async *noted(stream) {
    for await (const part of stream) {
      this.#parts.push(part);
      this.#published += (part.delta ?? part.inputTextDelta)?.length ?? 0;
      yield part;
    }
    this.#gate.reject(new Error("The answer is over"));
  }

  /** Waits until the model waits and all that it has said is published, and returns the message so far. */
  async soFar() {
    await this.#gate.promise;
    return this.message();
  }

  go() {
    this.#gate = deferred();
    this.#go();
    return null;
  }

  /** Returns what the AI SDK makes of what was published. */
  async message() {
    const stream = new ReadableStream({
      start: (to) => {
        for (const part of joined(this.#parts)) to.enqueue(part);
        to.close();
      },
    });
    let message;
    for await (message of readUIMessageStream({ stream }));
    return message;
  }

  get state() {
    return { stopped: this.#stopped, parts: this.#count };
  }
}

function deferred() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  made.promise.catch(() => undefined);
  return made;
}

const weather = tool({
  inputSchema: jsonSchema({ type: "object", properties: { city: { type: "string" }, note: { type: "string" } }, required: ["city"] }),
  execute: async ({ city, note }) => ({ city, rain: note.length % 2 === 0 }),
});

const routes = {
  "/api/chat": async ({ id, messages, plan }) => {
    histories.set(id, messages);
    const answer = await publishAnswer(sluice, chats({ id }), async ({ id: messageId, signal }) => {
      const result = streamText({
        model: answerOf(id).model(plan),
        messages: await convertToModelMessages(messages),
        tools: { weather },
        stopWhen: isStepCount(plan.steps),
        abortSignal: signal,
        onError: ({ error }) => console.error(error),
      });
      const parts = result.toUIMessageStream({
        originalMessages: messages,
        generateMessageId: () => messageId,
        onFinish: (end) => void histories.set(id, end.messages),
      });
      return answerOf(id).noted(parts);
    });
    return { id: answer.id };
  },
  "/token": ({ id }) => sluice.token({ channel: chats({ id }), topics: ["answer"], publish: [chats({ id }).control], ttl: "2h" }),
  "/history": ({ id }) => histories.get(id) ?? [],
  "/gate": ({ id }) => answerOf(id).soFar(),
  "/go": ({ id }) => answerOf(id).go(),
  "/state": ({ id }) => answerOf(id).state,
};

const app = await textOf(process.stdin);
const server = createServer(async (request, response) => {
  const { pathname, searchParams } = new URL(request.url, "http://site");
  const send = (type, body) => response.setHeader("Content-Type", type).end(body);
  try {
    if (pathname === "/app.js") return send("text/javascript", app);
    if (!routes[pathname]) return send("text/html", PAGE);
    const body = await textOf(request);
    const answer = await routes[pathname]({ ...Object.fromEntries(searchParams), ...(body && JSON.parse(body)) });
    return send("application/json", JSON.stringify(answer));
  } catch (error) {
    return response.writeHead(500).end(String(error));
  }
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
