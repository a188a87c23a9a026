/**
 * Waits for a promise until the signal aborts, and then throws the signal's reason. Reading a
 * response body needs this, too: in Node 20 a read hangs if the abort comes together with the end
 * of the body.
 */
export async function orAbort<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  promise.catch(() => undefined); // nobody may be left to handle it
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
