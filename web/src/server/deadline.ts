import { after } from "../timer.js";

/** A signal with a deadline. */
export interface Deadline {
  readonly signal: AbortSignal;
  /** Aborts the signal early, for a reason. */
  readonly expire: (reason: unknown) => void;
  /** Cancels what is still under way, and releases the timer and the outer signal. */
  readonly done: () => void;
}

/** The reason of a signal that is done with. The default one would be made anew for each request, with its stack. */
const DONE = new Error("The request is over");

/**
 * Returns a signal that follows another one and also aborts when time is up.
 *
 * @param ms undefined: there is no time limit
 * @param late returns the reason to abort with when time is up
 */
export function within(ms: number | undefined, outer: AbortSignal | undefined, late?: () => unknown): Deadline {
  const controller = new AbortController();
  const follow = (): void => controller.abort(outer?.reason);
  if (outer?.aborted) follow();
  outer?.addEventListener("abort", follow, { once: true });
  const stop = ms === undefined ? undefined : after(ms, () => controller.abort(late?.()));
  return {
    signal: controller.signal,
    expire: (reason) => controller.abort(reason),
    done() {
      stop?.();
      outer?.removeEventListener("abort", follow);
      controller.abort(DONE);
    },
  };
}

/** Waits. If the signal aborts, it throws the signal's reason. */
export function wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      stop();
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- what the caller aborted with
      reject(signal?.reason);
    };
    const stop = after(ms, () => {
      signal?.removeEventListener("abort", abort);
      resolve();
    });
    if (signal?.aborted) return abort();
    signal?.addEventListener("abort", abort, { once: true });
  });
}
