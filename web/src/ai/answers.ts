import type { TextStream } from "../message.js";
import { subscribe, type ConnectOptions } from "../subscribe.js";
import type { AnswerChannel } from "./topics.js";

/** An answer that a page has received, or that still comes. Each time its publisher begins anew, it is another one. */
export interface Answer {
  readonly id: string;
  /** What there is of it, and its state. */
  text: TextStream;
  /** The page was told of it, or reads it. */
  offered: boolean;
  /** The page has read all of it. */
  done: boolean;
}

/** The answers of one chat, over one subscription. */
export interface Answers {
  readonly get: (id: string) => Answer | undefined;
  /** The one that began last. */
  readonly latest: () => Answer | undefined;
  /** Is fulfilled when everything that the server had has arrived. It rejects if there is no subscription. */
  readonly live: Promise<void>;
  close(): void;
}

export interface AnswersOptions {
  /** Is told of an answer that begins, perhaps anew. */
  onBegin(answer: Answer): void;
  /** Is told of what was added to an answer, "" at its end. */
  onChunk(answer: Answer, chunk: string): void;
  /** The server has refused the subscription, or ended it. */
  onEnd(error: Error): void;
}

/** Subscribes to the answers of a chat. */
export function readAnswers({ $name }: AnswerChannel, connect: ConnectOptions, { onBegin, onChunk, onEnd }: AnswersOptions): Answers {
  const answers = new Map<string, Answer>();
  let close!: () => void;
  const live = new Promise<void>((resolve, reject) => {
    const subscription = subscribe({
      ...connect,
      channel: $name,
      topics: ["answer"],
      replay: "latest",
      onLive: resolve,
      onMessage(message) {
        const { run_id: id } = message;
        if (message.kind !== "stream" || !id) return;
        const answer = { id, text: message, offered: false, done: false };
        for (const { id, text } of answers.values()) if (text.state !== "open") answers.delete(id);
        answers.delete(id); // so that it is the last
        answers.set(id, answer);
        onBegin(answer);
      },
      onChunk(message, chunk) {
        const answer = answers.get(message.run_id!);
        if (answer?.text.stream_id !== message.stream_id) return;
        answer.text = message;
        onChunk(answer, chunk);
      },
      onStatus(status, { error }) {
        if (status !== "closed" && status !== "error") return;
        reject(error ?? new Error("The subscription has ended"));
        if (error) onEnd(error);
      },
    });
    close = subscription.close;
  });
  live.catch(() => undefined);
  return { get: (id) => answers.get(id), latest: () => [...answers.values()].at(-1), live, close };
}
