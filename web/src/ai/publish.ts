import { orAbort } from "../abort.js";
import type { SluiceError } from "../error.js";
import { wait } from "../server/deadline.js";
import { mayRepeat } from "../server/retry.js";
import type { RunHandle } from "../server/run.js";
import type { SluiceServer } from "../server/server.js";
import type { StreamReceipt } from "../server/text.js";
import { after } from "../timer.js";
import { encode, type Part } from "./encoding.js";
import { partsOf, type AnswerSource } from "./parts.js";
import { STEP, type AnswerChannel } from "./topics.js";

/** How long a source may go on after it was told to stop. */
const STOP_MS = 5000;

/** How long to wait before the server is asked for stops again. */
const RETRY_MS = 1000;

/** An answer that is being published. */
export interface PublishedAnswer {
  readonly id: string;
  /**
   * Is fulfilled when the answer is complete, and rejected if it could not be published. You need not handle it. Where a
   * program ends with its answer to a request, keep it running until then (`waitUntil`).
   */
  readonly done: Promise<StreamReceipt>;
}

export interface AnswerOptions {
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
export async function publishAnswer(
  sluice: SluiceServer,
  channel: AnswerChannel,
  source: (answer: { readonly id: string; readonly signal: AbortSignal }) => AnswerSource | Promise<AnswerSource>,
  { id = crypto.randomUUID(), attempt, retries, onError = () => "An error occurred." }: AnswerOptions = {},
): Promise<PublishedAnswer> {
  const run = sluice.run(channel.$name, id, { attempt });
  const stop = new AbortController();
  const over = new AbortController();
  const { signal } = stop;

  async function* parts(): AsyncGenerator<Part> {
    try {
      const begun = await source({ id, signal });
      yield* withLimit(partsOf(begun, id), signal);
    } catch (error) {
      if (signal.aborted) yield { type: "abort" };
      else if (retries) throw error;
      else yield { type: "error", errorText: onError(error) };
    }
  }

  await run.publish(STEP, channel.control, { begin: id });
  void untilStopped(run, channel, over.signal).then((stopped) => stopped && stop.abort());
  const done = run.stream(STEP, channel.answer, encode(parts())).finally(() => over.abort());
  done.catch(() => stop.abort()); // nobody would read the rest
  return { id, done };
}

/** Waits until a reader stops the answer. It returns false if nobody does before the signal aborts, or the server refuses to say. */
async function untilStopped(run: RunHandle, { control }: AnswerChannel, signal: AbortSignal): Promise<boolean> {
  const match = ({ stop }: { stop?: string }): boolean => stop === run.id;
  for (let step = STEP; ;) {
    try {
      await run.ask(step, control, { begin: run.id }, { reply: control, match, signal });
      return true;
    } catch (error) {
      const { code } = error as SluiceError;
      if (signal.aborted || !(code === "gap" || mayRepeat(error as SluiceError, true))) return false;
      // What came before a gap is lost. The question is asked anew, so that what comes after it is found.
      if (code === "gap") step += "'";
      // The server has been away for longer than a call tries. The same question finds what has come since it was first asked.
      else await wait(RETRY_MS, signal).catch(() => undefined);
    }
  }
}

/** Yields what a source yields, but some time after the signal has aborted it throws. A model may not listen to the signal. */
async function* withLimit<T>(source: AsyncGenerator<T>, signal: AbortSignal): AsyncGenerator<T> {
  const late = new AbortController();
  let cancel: (() => void) | undefined;
  const limit = (): void => {
    cancel = after(STOP_MS, () => late.abort());
  };
  signal.addEventListener("abort", limit);
  try {
    for (;;) {
      const step = await orAbort(source.next(), late.signal);
      if (step.done) return;
      yield step.value;
    }
  } finally {
    signal.removeEventListener("abort", limit);
    cancel?.();
    void source.return(undefined).catch(() => undefined);
  }
}
