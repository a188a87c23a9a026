import { backoff } from "../backoff.js";
import { SluiceError } from "../error.js";
import { wait } from "./deadline.js";

/** How often to retry a request, and how long to wait before that. */
export interface RetryPolicy {
  /** After the first attempt. */
  readonly retries: number;
  readonly minMs: number;
  readonly maxMs: number;
}

/**
 * Reports whether a failed request may be repeated.
 *
 * @param once it has the same effect however often it is made: a read, or a publish under a key.
 *   Other requests are repeated only if it is certain that nothing was done: after 429, and after
 *   the server's own 503. A gateway may answer 503 although the server received the request.
 */
export function mayRepeat({ code, status }: SluiceError, once: boolean): boolean {
  if (status === 429 || (status === 503 && code !== "http-503")) return true;
  return once && (code === "network" || [408, 502, 503, 504].includes(status));
}

/** Waits before the next attempt: as long as the server asks for, or with full jitter. */
export function pause({ minMs, maxMs }: RetryPolicy, failures: number, error: SluiceError, signal: AbortSignal | undefined): Promise<void> {
  return wait(backoff(failures, minMs, maxMs, error.retryAfterMs), signal);
}

/** Makes attempts until one succeeds or must not be repeated, see {@link mayRepeat}. It throws the last error. */
export async function retrying<T>(
  policy: RetryPolicy,
  { once, signal }: { once: boolean; signal: AbortSignal | undefined },
  attempt: () => Promise<T>,
): Promise<T> {
  for (let failures = 0; ; failures++) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof SluiceError) || failures >= policy.retries || !mayRepeat(error, once)) throw error;
      await pause(policy, failures, error, signal);
    }
  }
}
