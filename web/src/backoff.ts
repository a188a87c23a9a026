/** The longest wait that a server may ask for. */
const MAX_ASKED_MS = 5 * 60_000;

/**
 * Returns how long to wait before the next attempt. Servers spread the waits that they ask for, so
 * those are taken as they are. Otherwise the wait is random, up to a bound that doubles with each
 * failure in a row ("full jitter"), so that the clients of a server that died do not all return at once.
 *
 * @param failures in a row, without the latest
 */
export function backoff(failures: number, minMs: number, maxMs: number, askedMs?: number): number {
  return askedMs ? Math.min(askedMs, MAX_ASKED_MS) : Math.random() * Math.min(maxMs, minMs * 2 ** failures);
}
