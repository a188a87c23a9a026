/** The longest that is waited because a server asks for it. */
const MAX_ASKED_MS = 5 * 60_000;

/**
 * How long to wait before the next attempt: what the server asks for, since servers spread that;
 * otherwise anything up to a bound that doubles with each failure in a row ("full jitter"), so that
 * all who lost a server do not come back in one moment.
 *
 * @param failures in a row, before this one
 */
export function backoff(failures: number, minMs: number, maxMs: number, askedMs?: number): number {
  return askedMs ? Math.min(askedMs, MAX_ASKED_MS) : Math.random() * Math.min(maxMs, minMs * 2 ** failures);
}
