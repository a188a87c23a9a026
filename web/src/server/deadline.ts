/** A signal with an end of its own. */
export interface Deadline {
  readonly signal: AbortSignal;
  /** Ends what still goes on under the signal, and lets go of the timer and of the outer signal. */
  readonly done: () => void;
}

/**
 * Makes a signal that follows another one and aborts by itself when the time is over.
 *
 * @param ms undefined: it only follows
 * @param late makes the reason that it aborts with then
 */
export function within(ms: number | undefined, outer: AbortSignal | undefined, late?: () => unknown): Deadline {
  const controller = new AbortController();
  const follow = (): void => controller.abort(outer?.reason);
  if (outer?.aborted) follow();
  outer?.addEventListener("abort", follow, { once: true });
  const timer = ms === undefined ? undefined : setTimeout(() => controller.abort(late?.()), ms);
  return {
    signal: controller.signal,
    done() {
      clearTimeout(timer);
      outer?.removeEventListener("abort", follow);
      controller.abort();
    },
  };
}

/** Waits. It throws the signal's reason when that aborts. */
export function wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      clearTimeout(timer);
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- what the caller aborted with
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, ms);
    if (signal?.aborted) return abort();
    signal?.addEventListener("abort", abort, { once: true });
  });
}

/**
 * Waits for a promise, but no longer than until the signal aborts: then it throws the signal's
 * reason. The body of a response needs it too: in Node 20 a read hangs if the abort comes together
 * with the body's end.
 */
export async function orAbort<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  promise.catch(() => undefined); // nobody may be left to hear of its failure
  let abort: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    abort = (): void => {
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- what the caller aborted with
      reject(signal.reason);
    };
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort);
  });
  try {
    return await Promise.race([aborted, promise]);
  } finally {
    signal.removeEventListener("abort", abort!);
  }
}
