"use server";

import { randomUUID } from "node:crypto";
import { publishAnswer } from "@sluicehq/sluice/ai";
import { convertToModelMessages, streamText, type UIMessage } from "ai";
import { redirect } from "next/navigation";
import { after } from "next/server";
import { chats } from "@/lib/channels";
import { load, save } from "@/lib/history";
import { model } from "@/lib/model";
import { sluice } from "@/lib/sluice";

export async function startChat() {
  redirect(`/chat/${randomUUID()}`);
}

/** Begins the answer to a message. */
export async function ask(chatId: string, message: UIMessage) {
  const messages = [...(await load(chatId)), message];
  await save(chatId, messages);
  const { id, done } = await publishAnswer(sluice(), chats({ id: chatId }), async ({ id, signal }) => {
    const result = streamText({ model, messages: await convertToModelMessages(messages), abortSignal: signal });
    return result.toUIMessageStream({
      originalMessages: messages,
      generateMessageId: () => id,
      onFinish: ({ messages }) => save(chatId, messages),
    });
  });
  after(done); // the answer continues after this action
  return { id };
}

/** Returns what was said so far. */
export async function getMessages(chatId: string) {
  return load(chatId);
}

/** Issues a token with which a page can read the chat, and stop answers. A real application checks here who is signed in. */
export async function getChatToken(chatId: string) {
  const chat = chats({ id: chatId });
  return sluice().token({ channel: chat, topics: ["answer"], publish: [chat.control] });
}
