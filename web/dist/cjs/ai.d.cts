import { n as SluiceServer, o as StreamReceipt } from "./shared-server.cjs";
import { C as TextSchema, S as StandardSchema, d as TextRef, m as TopicRef } from "./shared-channel.cjs";
import { n as ConnectOptions } from "./shared-subscribe.cjs";

// src/ai/parts.d.ts
/** Anything that streams an answer. */
type AnswerSource = AsyncIterable<unknown> | Iterable<unknown> | ReadableStream<unknown>;
/**
* Yields the texts of a stream: of strings, of a chat completion or a response of OpenAI or a server that is compatible, of
* a message of Anthropic, of LangChain or of LlamaIndex. What has no text, such as the call of a tool, is left out.
*
* @example await sluice.stream(chat.draft, textOf(await openai.chat.completions.create({ ...request, stream: true })));
*/
declare function textOf(source: AnswerSource): AsyncGenerator<string>;
/** What is published on the topic `control`. */
interface Control {
  /** The id of an answer that begins. */
  readonly begin?: string;
  /** The id of the answer that is to stop. */
  readonly stop?: string;
}
/**
* The topics of a channel that carries answers. Pages read `answer`. To stop an answer, a page publishes to
* `control`, so a token that may stop answers grants publishing to it.
*
* @example channel({ name: ({ id }: { id: string }) => `chat:${id}`, topics: answerTopics })
*/
declare const answerTopics: {
  readonly answer: {
    readonly schema: TextSchema;
  };
  readonly control: {
    readonly schema: StandardSchema<Control>;
  };
};
/** A channel that has the {@link answerTopics}. */
interface AnswerChannel {
  readonly $name: string;
  readonly answer: TextRef<"answer">;
  readonly control: TopicRef<"control", Control, Control>;
}
/** An answer that is being published. */
interface PublishedAnswer {
  readonly id: string;
  /**
  * Is fulfilled when the answer is complete, and rejected if it could not be published. You need not handle it. Where a
  * program ends with its answer to a request, keep it running until then (`waitUntil`).
  */
  readonly done: Promise<StreamReceipt>;
}
interface AnswerOptions {
  /** Identifies the answer in its channel. Publishing again under the same id replaces what is incomplete, and does nothing if it is complete. Default: a random one. */
  readonly id?: string | undefined;
  /** The number of this attempt, from 1. Each needs a higher one. Default: one above the latest that the server knows. */
  readonly attempt?: number | undefined;
  /** You call this again, with the same id, if `done` rejects. So if the source throws, that rejects, and readers wait for the next attempt. Default: false: they see an error. */
  readonly retries?: boolean | undefined;
  /** Returns what readers see of an error of the source. Default: "An error occurred." */
  readonly onError?: ((error: unknown) => string) | undefined;
}
/**
* Publishes an answer while it is generated. Readers get its parts, whether they come early, in the
* middle or after the end.
*
* The source is called with a signal that aborts when a reader stops the answer (`SluiceChatTransport.stop`). Give it to the
* model. It is not called if the answer is complete already.
*
* It is fulfilled when the answer has begun, and rejects if the server cannot be reached.
*
* @param source returns a UI message stream of the AI SDK, or any stream that {@link textOf} takes
*/
declare function publishAnswer(sluice: SluiceServer, channel: AnswerChannel, source: (answer: {
  readonly id: string;
  readonly signal: AbortSignal;
}) => AnswerSource | Promise<AnswerSource>, {
  id,
  attempt,
  retries,
  onError
}?: AnswerOptions): Promise<PublishedAnswer>;
/** Parts, as `UIMessageChunk` of the AI SDK declares them. They are `any` here, so that no version of its types is needed. */
type Parts = ReadableStream;
/** How a page asks for an answer. These are the fields that the AI SDK's own transport sends. */
interface AnswerRequest<M = unknown> {
  /** The chat. */
  readonly id: string;
  readonly messages: M[];
  readonly trigger: "submit-message" | "regenerate-message";
  readonly messageId: string | undefined;
  /** What the caller of `sendMessage` passes as `body` is here, too. */
  readonly [field: string]: unknown;
}
/** What `useChat` passes to a transport when it resumes an answer. */
interface ResumeRequest {
  readonly chatId: string;
  readonly abortSignal?: AbortSignal | undefined;
}
/** What `useChat` passes to a transport when it sends a message. */
interface SendRequest<M = unknown> extends ResumeRequest {
  readonly messages: M[];
  readonly trigger: "submit-message" | "regenerate-message";
  readonly messageId: string | undefined;
  readonly headers?: Record<string, string> | Headers | undefined;
  readonly body?: object | undefined;
}
interface SluiceChatTransportOptions<M = unknown> extends ConnectOptions {
  /** Returns the channel of a chat. It has the `answerTopics`. */
  readonly channel: (chatId: string) => AnswerChannel;
  /**
  * Where an {@link AnswerRequest} is posted as JSON, or a function that sends it. The answer is `{ id }`, with the id that
  * `publishAnswer` returns. Default: `/api/chat`.
  */
  readonly api?: string | ((request: AnswerRequest<M>, init: RequestInit) => Promise<Response | {
    readonly id: string;
  }>) | undefined;
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
declare class SluiceChatTransport<M = unknown> {
  #private;
  private readonly options;
  /** Tells `useChat` that a resumed answer comes from its beginning. */
  readonly resumeStreamIsReplay = true;
  constructor(options: SluiceChatTransportOptions<M>);
  /** Asks for an answer. `useChat` calls it. */
  sendMessages(request: SendRequest<M>): Promise<Parts>;
  /** Returns the answer that is being given, or has been given and is not shown. `useChat` calls it. */
  reconnectToStream({
    chatId,
    abortSignal
  }: ResumeRequest): Promise<Parts | null>;
  /** Stops what is being answered in a chat. The model's signal aborts, and all pages see the answer end. */
  stop(chatId: string): Promise<void>;
  /**
  * Calls `resume`, which is `resumeStream` of `useChat`, whenever the chat has an answer that the page does not show: it is
  * in progress when the page is loaded, another page has asked for it, or its publisher starts it over.
  *
  * @returns a function that ends this
  */
  follow(chatId: string, resume: () => unknown): () => void;
}
export { type AnswerChannel, type AnswerOptions, type AnswerRequest, type AnswerSource, type Control, type PublishedAnswer, type ResumeRequest, type SendRequest, SluiceChatTransport, type SluiceChatTransportOptions, answerTopics, publishAnswer, textOf };