import { createParser } from "./sse.js";
import { explainRefusal } from "./problem.js";

/** How long to wait between attempts at most. */
const MAX_DELAY_MS = 30_000;

/** The same when the server asks for a delay. A timer of 25 days would fire at once. */
const MAX_ASKED_DELAY_MS = 24 * 3600 * 1000;

/**
 * A stream without a byte for this long is taken for dead. The server's
 * heartbeat comes every 15 s unless it was told otherwise.
 */
const QUIET_LIMIT_MS = 90_000;

/** The page cannot get a new token by itself, so it does not come back after these. */
const TOKEN_EXPIRED = 4001;

/**
 * @typedef {object} StreamOptions
 * @property {URL | string} url the subscription
 * @property {string} credential token or API key; sent as a header, never in the URL
 * @property {string} [lastEventId] the position to resume from; "" starts anew
 * @property {AbortSignal} signal ends the stream
 * @property {(event: {type: string, data: string, lastEventId: string}) => void} onEvent
 * @property {(phase: {name: "connecting"} | {name: "live"} | {name: "waiting", delayMs: number, why: string, closed: boolean}) => void} onPhase
 * @property {typeof fetch} [fetch]
 * @property {() => number} [random] in [0, 1)
 * @property {(ms: number, signal: AbortSignal) => Promise<void>} [sleep]
 */

/**
 * Reads a subscription for as long as it can be read. Reconnects from the last
 * position after every loss, unless the server says that this is pointless.
 *
 * @param {StreamOptions} options
 * @returns {Promise<{why: string, expired: boolean, closed: boolean, lastEventId: string}>}
 *   once it is over for good; closed tells that a $close event has said so.
 *   Aborting the signal resolves it too, with an empty why.
 */
export async function runStream(options) {
  const { signal, onPhase, random = Math.random, sleep = sleepUntilOnline } = options;
  const state = { lastEventId: options.lastEventId ?? "", retryMs: 1000, failures: 0 };
  while (!signal.aborted) {
    onPhase({ name: "connecting" });
    const end = await attempt(options, state);
    if (signal.aborted) break;
    if (!end.again) return { why: end.why, expired: end.expired === true, closed: end.closed === true, lastEventId: state.lastEventId };
    const delayMs = Math.round(delayBefore(end.delayMs, state, random));
    state.failures++;
    onPhase({ name: "waiting", delayMs, why: end.why, closed: end.closed === true });
    await sleep(delayMs, signal);
  }
  return { why: "", expired: false, closed: false, lastEventId: state.lastEventId };
}

/**
 * Returns how long to wait: what the server asks for and a little more, or else
 * longer after every failure. A server that always asks for nothing is not
 * taken at its word.
 */
function delayBefore(askedMs, { failures, retryMs }, random) {
  if (askedMs === undefined) return backoff(failures, retryMs, random);
  const spread = Math.max(askedMs * (1 + random() / 5), backoff(failures, 100, random));
  return Math.min(MAX_ASKED_DELAY_MS, spread);
}

/**
 * Returns how long to wait after so many failures in a row: doubling, with the
 * upper half left to chance, so that a thousand pages do not come back at once.
 */
export function backoff(failures, baseMs, random) {
  const full = Math.min(MAX_DELAY_MS, Math.max(100, baseMs) * 2 ** Math.min(failures, 16));
  return (full / 2) * (1 + random());
}

/** A connection that broke: the only failure that trying again may mend. */
class Lost extends Error {}

function lose() {
  throw new Lost("The connection was lost");
}

/** One connection, from the request to its end. Tells whether another makes sense. */
async function attempt(options, state) {
  const { url, credential, signal, fetch = globalThis.fetch } = options;
  const cut = new AbortController();
  const headers = { Accept: "text/event-stream", Authorization: `Bearer ${credential}` };
  if (state.lastEventId !== "") headers["Last-Event-ID"] = state.lastEventId;
  try {
    const response = await fetch(url, {
      headers,
      signal: AbortSignal.any([signal, cut.signal]),
      cache: "no-store",
      credentials: "omit",
      referrerPolicy: "no-referrer",
    }).catch(lose);
    const refusal = await refusalOf(response);
    return refusal ?? (await read(response.body, options, state, cut));
  } catch (error) {
    return { again: error instanceof Lost, why: error.message };
  } finally {
    cut.abort();
  }
}

/** Returns how the attempt ended if the response is not a stream. */
async function refusalOf(response) {
  const { status, headers } = response;
  if (status === 429 || status >= 500) {
    return { again: true, why: await explainRefusal(response), delayMs: retryAfterMs(headers.get("retry-after")) };
  }
  if (status === 401) return { again: false, why: "The token or API key was refused (401)" };
  if (status !== 200) return { again: false, why: await explainRefusal(response) };
  if (!headers.get("content-type")?.startsWith("text/event-stream")) {
    return { again: false, why: "The answer is not an event stream" };
  }
  return undefined;
}

/**
 * Reads a Retry-After header, https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
 *
 * @returns {number | undefined} undefined if it is missing or makes no sense
 */
export function retryAfterMs(value, now = Date.now()) {
  if (value === null) return undefined;
  if (/^[0-9]+$/.test(value)) return Number(value) * 1000;
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}

/** Hands out the events of one response body until it ends, is cut or says $close. */
async function read(body, { onEvent, onPhase }, state, cut) {
  let close;
  const parser = createParser({
    onRetry: (ms) => (state.retryMs = ms),
    onEvent: (event) => {
      if (event.lastEventId !== "") state.lastEventId = event.lastEventId;
      if (event.type === "$open") {
        state.failures = 0;
        onPhase({ name: "live" });
      }
      if (event.type === "$close") close = closeOf(event.data);
      onEvent(event);
    },
  });
  const decoder = new TextDecoder();
  const reader = body.getReader();
  for (;;) {
    const dead = setTimeout(() => cut.abort(), QUIET_LIMIT_MS);
    const { done, value } = await reader.read().catch(lose).finally(() => clearTimeout(dead));
    if (done) return { again: true, why: "The stream ended" };
    parser.feed(decoder.decode(value, { stream: true }));
    if (close) return close;
  }
}

function closeOf(data) {
  const { code, reason, reconnect, retry_after_ms: delayMs } = JSON.parse(data);
  if (code === TOKEN_EXPIRED) return { again: false, expired: true, closed: true, why: "The token has expired" };
  return { again: reconnect === true, closed: true, delayMs, why: `The server ended the stream: ${reason} (${code})` };
}

/** Sleeps, but not past the moment at which the browser finds its network again. */
function sleepUntilOnline(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(wake, ms);
    function wake() {
      clearTimeout(timer);
      signal.removeEventListener("abort", wake);
      globalThis.removeEventListener?.("online", wake);
      resolve();
    }
    signal.addEventListener("abort", wake);
    globalThis.addEventListener?.("online", wake);
  });
}
