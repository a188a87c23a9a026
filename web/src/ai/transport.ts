import { publish } from "../publish.js";
import type { ConnectOptions } from "../subscribe.js";
import { openChat, type Chat } from "./chat.js";
import type { Parts } from "./reader.js";
import type { AnswerChannel } from "./topics.js";

/** How a page asks for an answer. These are the fields that the AI SDK's own transport sends. */
export interface AnswerRequest<M = unknown> {
  /** The chat. */
  readonly id: string;
  readonly messages: M[];
  readonly trigger: "submit-message" | "regenerate-message";
  readonly messageId: string | undefined;
  /** What the caller of `sendMessage` passes as `body` is here, too. */
  readonly [field: string]: unknown;
}

/** What `useChat` passes to a transport when it resumes an answer. */
export interface ResumeRequest {
  readonly chatId: string;
  readonly abortSignal?: AbortSignal | undefined;
}

/** What `useChat` passes to a transport when it sends a message. */
export interface SendRequest<M = unknown> extends ResumeRequest {
  readonly messages: M[];
  readonly trigger: "submit-message" | "regenerate-message";
  readonly messageId: string | undefined;
  readonly headers?: Record<string, string> | Headers | undefined;
  readonly body?: object | undefined;
}

export interface SluiceChatTransportOptions<M = unknown> extends ConnectOptions {
  /** Returns the channel of a chat. It has the `answerTopics`. */
  readonly channel: (chatId: string) => AnswerChannel;
  /**
   * Where an {@link AnswerRequest} is posted as JSON, or a function that sends it. The answer is `{ id }`, with the id that
   * `publishAnswer` returns. Default: `/api/chat`.
   */
  readonly api?: string | ((request: AnswerRequest<M>, init: RequestInit) => Promise<Response | { readonly id: string }>) | undefined;
  /** Reports whether the page has a finished answer from its history. Default: it has none, so the latest answer is shown again. */
  readonly isShown?: ((answerId: string, chatId: string) => boolean) | undefined;
  /** How long to wait for the next attempt when the publisher of an answer was lost. Default: 10000 ms. */
  readonly retryWaitMs?: number | undefined;
}

/**
 * A `ChatTransport` of the AI SDK, versions 6 and 7. It lets `useChat` read answers that `publishAnswer` publishes.
 *
 * The request only begins an answer. Its parts come from the channel, so users do not notice a lost connection. A page that is
 * reloaded shows the answer so far, and other pages can show it, too.
 *
 * When `useChat` stops or unmounts, the page stops reading, and the answer continues. {@link stop} ends it for everybody.
 */
export class SluiceChatTransport<M = unknown> {
  /** Tells `useChat` that a resumed answer comes from its beginning. */
  readonly resumeStreamIsReplay = true;
  readonly #chats = new Map<string, Chat>();

  constructor(private readonly options: SluiceChatTransportOptions<M>) {}

  /** Asks for an answer. `useChat` calls it. */
  sendMessages(request: SendRequest<M>): Promise<Parts> {
    return this.#chat(request.chatId).ask(this.#send(request), request.abortSignal);
  }

  /** Returns the answer that is being given, or has been given and is not shown. `useChat` calls it. */
  reconnectToStream({ chatId, abortSignal }: ResumeRequest): Promise<Parts | null> {
    return this.#chat(chatId).resume(abortSignal);
  }

  /** Stops what is being answered in a chat. The model's signal aborts, and all pages see the answer end. */
  async stop(chatId: string): Promise<void> {
    const { channel, url, token, fetch } = this.options;
    for (const stop of await this.#chat(chatId).open()) await publish(channel(chatId).control, { stop }, { url, token, fetch });
  }

  /**
   * Calls `resume`, which is `resumeStream` of `useChat`, whenever the chat has an answer that the page does not show: it is
   * in progress when the page is loaded, another page has asked for it, or its publisher starts it over.
   *
   * @returns a function that ends this
   */
  follow(chatId: string, resume: () => unknown): () => void {
    return this.#chat(chatId).follow(resume);
  }

  #chat(chatId: string): Chat {
    const known = this.#chats.get(chatId);
    if (known) return known;
    const chat = openChat(chatId, this.options, () => this.#chats.get(chatId) === chat && this.#chats.delete(chatId));
    this.#chats.set(chatId, chat);
    return chat;
  }

  /** Returns the id of the answer that was asked for. */
  async #send({ chatId: id, messages, trigger, messageId, abortSignal, headers, body }: SendRequest<M>): Promise<string> {
    const { api = "/api/chat", fetch } = this.options;
    const request = { ...body, id, messages, trigger, messageId };
    const init: RequestInit = {
      method: "POST",
      headers: { "Content-Type": "application/json", ...Object.fromEntries(new Headers(headers)) },
      body: JSON.stringify(request),
      signal: abortSignal ?? null,
    };
    const answer = await (typeof api === "string" ? (fetch ?? globalThis.fetch)(api, init) : api(request, init));
    if (!(answer instanceof Response)) return answer.id;
    if (!answer.ok) throw new Error((await answer.text()) || `Status ${answer.status}`);
    return ((await answer.json()) as { id: string }).id;
  }
}
