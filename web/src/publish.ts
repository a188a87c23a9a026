import { orAbort } from "./abort.js";
import type { AnyRef } from "./channel.js";
import { SluiceError } from "./error.js";
import type { Receipt } from "./message.js";
import { authorization, credential, endpoint, problemOf, send, type Credential, type Fetch, type Token } from "./request.js";
import { atMost } from "./timer.js";

export interface PublishOptions {
  /** The server. Default: the one that the token function's answer names in `url`, or else the page's origin. */
  url?: string | URL | undefined;
  /** A token that grants publishing to the topic. */
  token?: Token | undefined;
  /** Publishes only once, however often it is sent with this key: 1 to 255 printable ASCII characters. */
  idempotencyKey?: string | undefined;
  runId?: string | undefined;
  /** The span that the message follows from, as in the header of that name (W3C Trace Context). Its readers get it. */
  traceparent?: string | undefined;
  signal?: AbortSignal | undefined;
  /** The limit for getting the token, and again for the answer. Default: 30000 ms. */
  timeoutMs?: number | undefined;
  fetch?: Fetch | undefined;
}

/** The limit for getting the token, and again for the answer. */
const TIMEOUT_MS = 30_000;

/**
 * Publishes a message without retrying. It throws a SluiceError, or the signal's reason.
 *
 * It does not validate the data. The server does, against the schema that it knows.
 */
export async function publish<Input>(ref: AnyRef<Input>, data: NoInfer<Input>, options: PublishOptions = {}): Promise<Receipt> {
  const { token, signal, timeoutMs = TIMEOUT_MS } = options;
  const ended = new AbortController();
  try {
    const held = await orAbort(credential(token, timeoutMs), signal);
    return await orAbort(atMost(timeoutMs, post(ref, data, options, held, ended.signal)), signal);
  } catch (cause) {
    if (cause instanceof SluiceError || signal?.aborted) throw cause;
    throw new SluiceError("network", `No answer: ${(cause as Error).message}`, { cause });
  } finally {
    ended.abort(signal?.reason); // cancels whatever is still under way
  }
}

/** Channel and topic go into the body, where no proxy can mistake a name for part of a path. */
async function post(ref: AnyRef, data: unknown, options: PublishOptions, held: Credential, signal: AbortSignal): Promise<Receipt> {
  const { url = held.url, idempotencyKey, runId, traceparent, fetch } = options;
  const target = endpoint(url, "/v1/publish");
  const response = await send(fetch, target, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...authorization(held.token) },
    body: JSON.stringify({ channel: ref.channel, topic: ref.topic, data, run_id: runId, idempotency_key: idempotencyKey, traceparent }),
    signal,
  });
  if (!response.ok) throw await problemOf(response, target);
  return (await response.json()) as Receipt;
}
