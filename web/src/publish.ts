import type { TopicRef } from "./channel.js";
import type { Receipt } from "./message.js";
import { authorization, credential, endpoint, lost, problemOf, send, type Fetch, type Token } from "./request.js";

export interface PublishOptions {
  /** The server. Default: the page's origin. */
  url?: string | URL | undefined;
  /** A token with a grant to publish to the topic. */
  token?: Token | undefined;
  /** Makes it happen once, however often it is sent with this key: 1 to 255 printable ASCII characters. */
  idempotencyKey?: string | undefined;
  runId?: string | undefined;
  signal?: AbortSignal | undefined;
  fetch?: Fetch | undefined;
}

/**
 * Publishes a message, once: it is not tried again. It throws a SluiceError.
 *
 * The data is not validated here; the server does that, by the schema it knows.
 */
export async function publish<Input>(ref: TopicRef<string, Input>, data: NoInfer<Input>, options: PublishOptions = {}): Promise<Receipt> {
  const { url, token, idempotencyKey, runId, signal = null, fetch } = options;
  const target = endpoint(url, `/v1/publish/${encodeURIComponent(ref.channel)}/${ref.topic}`);
  if (runId) target.searchParams.set("run_id", runId);
  const response = await send(fetch, target, {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      ...authorization(await credential(token)),
      ...(idempotencyKey && { "Idempotency-Key": idempotencyKey }),
    },
    body: JSON.stringify(data),
    signal,
  });
  if (!response.ok) throw await problemOf(response);
  return (await response.json().catch((cause: unknown) => {
    throw signal?.aborted ? cause : lost(cause);
  })) as Receipt;
}
