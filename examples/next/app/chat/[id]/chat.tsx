"use client";

import { useChat } from "@ai-sdk/react";
import { SluiceChatTransport } from "@sluicehq/sluice/ai";
import type { UIMessage } from "ai";
import { useEffect, useState, type FormEvent } from "react";
import { chats } from "@/lib/channels";
import { ask, getChatToken, getMessages } from "../actions";

export function Chat({ id, history }: { id: string; history: UIMessage[] }) {
  const [transport] = useState(
    () =>
      new SluiceChatTransport<UIMessage>({
        channel: (id) => chats({ id }),
        token: () => getChatToken(id),
        api: ({ id, messages }) => ask(id, messages.at(-1)!),
        isShown: (answer) => history.some((message) => message.id === answer),
      }),
  );
  const { messages, setMessages, sendMessage, resumeStream, status, error } = useChat({ id, messages: history, transport });
  const busy = status === "submitted" || status === "streaming";

  // An answer that this page has not asked for: after a reload, or from another tab.
  useEffect(
    () =>
      transport.follow(id, async () => {
        const saved = await getMessages(id);
        setMessages(saved);
        if (saved.at(-1)?.role === "user") await resumeStream();
      }),
    [transport, id, setMessages, resumeStream],
  );

  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    if (busy) return;
    void sendMessage({ text: String(new FormData(event.currentTarget).get("text")) });
    event.currentTarget.reset();
  }

  return (
    <main className="chat">
      <h1>Chat</h1>
      <div className="messages">
        <ol role="log" aria-busy={busy}>
          {messages.map(({ id, role, parts }) => (
            <li key={id} className="text" data-role={role}>
              {parts.map((part) => (part.type === "text" ? part.text : ""))}
            </li>
          ))}
        </ol>
      </div>
      {error && <p role="alert">{error.message}</p>}
      <form onSubmit={submit}>
        <input name="text" aria-label="Message" placeholder="Ask something" autoComplete="off" required />
        {busy ? (
          <button type="button" onClick={() => void transport.stop(id)}>
            Stop
          </button>
        ) : (
          <button className="primary">Send</button>
        )}
      </form>
    </main>
  );
}
