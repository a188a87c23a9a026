import { after } from "../timer.js";
import type { Answer } from "./answers.js";
import { decoder, type Part } from "./encoding.js";

/** Parts, as `UIMessageChunk` of the AI SDK declares them. They are `any` here, so that no version of its types is needed. */
export type Parts = ReadableStream;

/** Makes a stream of the parts of one answer. */
export interface Reader {
  readonly parts: Parts;
  /** The answer begins, perhaps anew. */
  begin(answer: Answer): void;
  /** Takes what was added to it, or its end. */
  grow(answer: Answer, chunk: string): void;
  /** Ends the stream, unless it has ended. */
  end(error?: Error): void;
}

/**
 * Parts that were passed on cannot be taken back. So if the answer begins anew after that, the stream ends.
 *
 * @param retryWaitMs how long to wait for the next attempt when the publisher was lost
 * @param anew returns the error with which the stream ends when the answer begins anew
 * @param onEnd is called once
 */
export function createReader(retryWaitMs: number, anew: () => Error, onEnd: () => void): Reader {
  let to!: ReadableStreamDefaultController<Part>;
  let parse: (piece: string) => void;
  let begun = false; // some parts were passed on
  let giveUp: (() => void) | undefined; // cancels it
  let current: Answer | undefined;
  let ended = false;

  const reader: Reader = {
    parts: new ReadableStream<Part>({
      start: (controller) => void (to = controller),
      cancel() {
        if (current) current.done = false;
        reader.end();
      },
    }),
    begin(answer) {
      if (begun) return reader.end(anew());
      parse = decoder((part) => {
        begun = true;
        to.enqueue(part);
      });
      reader.grow(answer, answer.text.text);
    },
    grow(answer, chunk) {
      const { state, partial } = answer.text;
      current = answer;
      answer.offered = true;
      giveUp?.();
      if (partial || /^(a|s)/.test(state)) {
        giveUp = after(retryWaitMs, () => reader.end(new Error("The answer broke off")));
        return;
      }
      parse(chunk);
      if (state !== "complete") return;
      answer.done = true;
      reader.end();
    },
    end(error) {
      if (ended) return;
      ended = true;
      giveUp?.();
      if (error) to.error(error);
      else to.close();
      onEnd();
    },
  };
  return reader;
}
