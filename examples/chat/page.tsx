// The page. The transport is all that differs from any other page with useChat.

import { useChat } from "@ai-sdk/react";
import { SluiceChatTransport } from "@sluicehq/sluice/ai";
import type { UIMessage } from "ai";
import { StrictMode, useEffect, type FormEvent, type ReactNode } from "react";
import { createRoot } from "react-dom/client";
import { call } from "../shared/call.ts";
import { chats } from "./channel.ts";

// The chat is in the address, so that a reload shows it again.
const id = new URLSearchParams(location.search).get("chat") ?? crypto.randomUUID();
window.history.replaceState(null, "", `?chat=${id}`);

const saved = () => call<UIMessage[]>(`/messages?chat=${id}`);
const history = await saved();

const transport = new SluiceChatTransport<UIMessage>({
  channel: (id) => chats({ id }),
  token: () => call<{ token: string }>(`/token?chat=${id}`),
  isShown: (answer) => history.some((message) => message.id === answer),
});

function Chat(): ReactNode {
  const { messages, setMessages, sendMessage, resumeStream, status, error } = useChat({ id, messages: history, transport });
  const busy = status === "submitted" || status === "streaming";

  // An answer that this page has not asked for: after a reload, or from another tab.
  useEffect(
    () =>
      transport.follow(id, async () => {
        const messages = await saved();
        setMessages(messages);
        if (messages.at(-1)?.role === "user") await resumeStream();
      }),
    [setMessages, resumeStream],
  );

  function submit(event: FormEvent<HTMLFormElement>): void {
    event.preventDefault();
    if (busy) return;
    void sendMessage({ text: String(new FormData(event.currentTarget).get("text")) });
    event.currentTarget.reset();
  }

  return (
    <main className="chat">
      <header>
        <h1>Chat with a model</h1>
        <p>Reload the page in the middle of an answer, open it in a second tab, or stop the answer from there.</p>
      </header>
      <div className="messages">
        <ol role="log" aria-busy={busy}>
          {messages.map(({ id, role, parts }) => (
            <li key={id} data-role={role}>
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

createRoot(document.getElementById("page")!).render(
  <StrictMode>
    <Chat />
  </StrictMode>,
);
