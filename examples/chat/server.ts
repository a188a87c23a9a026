// The application's server: it answers, keeps the messages, and issues the page's token.

import { publishAnswer } from "@sluicehq/sluice/ai";
import { createServer } from "@sluicehq/sluice/server";
import { convertToModelMessages, streamText, type UIMessage } from "ai";
import type { Routes } from "../shared/site.ts";
import { chats } from "./channel.ts";
import { model } from "./model.ts";

const sluice = createServer({ url: process.env.SLUICE_URL!, apiKey: process.env.SLUICE_API_KEY! });

/** The messages of each chat. A real application has a database. */
const history = new Map<string, UIMessage[]>();

export const routes: Routes = {
  "POST /messages": (query) => history.get(query.get("chat") ?? "") ?? [],

  // The page may read this chat and stop answers. A real application would check who is signed in.
  "POST /token": (query) => {
    const chat = chats({ id: query.get("chat") ?? "" });
    return sluice.token({ channel: chat, topics: ["answer"], publish: [chat.control] });
  },

  // What useChat sends. It begins an answer, which goes on after this request.
  "POST /api/chat": async (_, body) => {
    const { id, messages } = body as { id: string; messages: UIMessage[] };
    history.set(id, messages);
    const answer = await publishAnswer(sluice, chats({ id }), (answer) => write(id, messages, answer));
    return { id: answer.id };
  },
};

async function write(chatId: string, messages: UIMessage[], { id, signal }: { id: string; signal: AbortSignal }) {
  const result = streamText({ model, messages: await convertToModelMessages(messages), abortSignal: signal });
  return result.toUIMessageStream({
    originalMessages: messages,
    generateMessageId: () => id,
    onFinish: ({ messages }) => void history.set(chatId, messages),
  });
}
