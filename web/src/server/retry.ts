import { backoff } from "../backoff.js";
import { SluiceError } from "../error.js";
import { wait } from "./deadline.js";

/** How often a request is made again, and how long is waited before. */
export interface RetryPolicy {
  /** After the first attempt. */
  readonly retries: number;
  readonly minMs: number;
  readonly maxMs: number;
}

/**
 * Whether a request that failed may be made again.
 *
 * @param once it has the same effect however often it is made: a read, or a publish under a key.
 *   Anything else is repeated only when it is certain that nothing was done: at 429, and at a 503
 *   that is the server's own word. A gateway's 503 may come after the server had the request.
 */
export function mayRepeat({ code, status }: SluiceError, once: boolean): boolean {
  if (status === 429 || (status === 503 && code !== "http-503")) return true;
  return once && (code === "network" || [408, 502, 503, 504].includes(status));
}

/** Waits before the next attempt: with full jitter, but as long as the server asks for. */
export function pause({ minMs, maxMs }: RetryPolicy, failures: number, error: SluiceError, signal: AbortSignal | undefined): Promise<void> {
  return wait(backoff(failures, minMs, maxMs, error.retryAfterMs), signal);
}

/** Makes attempts until one succeeds or {@link mayRepeat} says no. It throws the last error. */
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
