import { readAnswers, type Answer } from "./answers.js";
import { createReader, type Parts, type Reader } from "./reader.js";
import type { SluiceChatTransportOptions } from "./transport.js";

/** A chat as a page sees it: which answers there are, and which of them it reads. */
export interface Chat {
  /** Waits for the id of an answer that was asked for, and reads that. */
  ask(id: Promise<string>, signal: AbortSignal | undefined): Promise<Parts>;
  /** Reads the latest answer. null: there is none, or it is over and the page has it. */
  resume(signal: AbortSignal | undefined): Promise<Parts | null>;
  /** Returns the ids of the answers that are asked for or given. */
  open(): Promise<Iterable<string>>;
  /** Calls back when there is an answer that the page neither reads nor has. Returns a function that ends this. */
  follow(resume: () => unknown): () => void;
}

/** How long to wait for the next attempt. */
const RETRY_WAIT_MS = 10_000;

/** @param onUnused is called when nobody uses the chat any more, or nobody can */
export function openChat(chatId: string, options: Omit<SluiceChatTransportOptions, "api">, onUnused: () => void): Chat {
  const { channel, isShown, retryWaitMs = RETRY_WAIT_MS } = options;
  const readers = new Map<string, Reader>();
  const asked = new Set<Promise<string>>();
  const followers = new Set<() => unknown>();
  let users = 0;
  let refusal: Error | undefined; // why there is no subscription

  const answers = readAnswers(channel(chatId), options, {
    onBegin(answer) {
      readers.get(answer.id)?.begin(answer);
      offer();
    },
    onChunk: (answer, chunk) => readers.get(answer.id)?.grow(answer, chunk),
    onEnd(error) {
      refusal = error;
      onUnused();
      readers.forEach((reader) => reader.end(error));
    },
  });

  function release(): void {
    if (--users) return;
    answers.close();
    onUnused();
  }

  /** Keeps the subscription until the work is done. */
  async function using<T>(work: () => Promise<T>): Promise<T> {
    users++;
    return work().finally(release);
  }

  /** Returns the latest answer if the page lacks it. */
  function missing(): Answer | undefined {
    const answer = answers.latest();
    if (answer?.text.state === "open") return answer;
    return answer?.text.complete && !answer.done && !isShown?.(answer.id, chatId) ? answer : undefined;
  }

  /** Tells the followers of an answer that the page lacks, once. */
  function offer(): void {
    void answers.live.then(
      () => {
        const answer = missing();
        if (!answer || answer.offered || asked.size || readers.size) return;
        for (const follower of followers) {
          answer.offered = true;
          follower();
        }
      },
      () => undefined, // readers are told
    );
  }

  function read(id: string, signal: AbortSignal | undefined): Parts {
    const anew = (): Error =>
      followers.size ? new DOMException("The answer begins anew", "AbortError") : new Error("The answer begins anew: follow() shows it");
    const leave = (): void => reader.end();
    const reader = createReader(retryWaitMs, anew, () => {
      signal?.removeEventListener("abort", leave);
      if (readers.get(id) === reader) readers.delete(id);
      offer();
      release();
    });
    users++;
    readers.get(id)?.end();
    readers.set(id, reader);
    signal?.addEventListener("abort", leave);
    const answer = answers.get(id);
    if (refusal || signal?.aborted) reader.end(refusal);
    else if (answer) reader.begin(answer);
    return reader.parts;
  }

  return {
    ask: (id, signal) =>
      using(async () => {
        asked.add(id);
        try {
          return read(await id, signal);
        } finally {
          asked.delete(id);
          offer();
        }
      }),
    resume: (signal) =>
      using(async () => {
        await answers.live;
        const answer = missing();
        return answer ? read(answer.id, signal) : null;
      }),
    open: () =>
      using(async () => {
        await answers.live;
        const ids = await Promise.all(asked); // those of the meantime, too
        const answer = answers.latest();
        return new Set([...ids, ...readers.keys(), ...(answer?.text.state === "open" ? [answer.id] : [])]);
      }),
    follow(resume) {
      const follower = (): unknown => resume();
      users++;
      followers.add(follower);
      offer();
      return () => {
        if (followers.delete(follower)) release();
      };
    },
  };
}
