import type { Ask } from "./ask.js";
import { RUN_ENDED } from "./decode.js";
import { SluiceError } from "./error.js";
import { parser, type WireEvent } from "./events.js";
import { absent, authorization, lost, problemOf, send, unsupported, type Fetch } from "./request.js";

/** One connection from its request to its end. */
export interface Attempt extends Ask {
  readonly token: string;
  readonly signal: AbortSignal;
  readonly fetch: Fetch | undefined;
  onEvent(event: WireEvent): void;
  /** Something was received, if only a heartbeat. */
  onSign(): void;
  /** Is fulfilled when there is room for more. Until then nothing is read, and the server buffers. */
  untilRoom(): Promise<void>;
}

/** Carries out an attempt. It returns at the end of the stream and throws a {@link SluiceError} in any other case. */
export type Transport = (attempt: Attempt) => Promise<void>;

/** Reads the stream with `fetch`: the token is in a header, and the status is known. */
export async function overFetch({ url, token, position, signal, fetch, onEvent, onSign, untilRoom }: Attempt): Promise<void> {
  // React Native's own fetch returns once everything has arrived, which is never.
  if (!fetch && globalThis.Response && !("body" in Response.prototype)) throw unsupported("Response.body");
  if (!globalThis.TextDecoder) throw unsupported("TextDecoder");
  const headers = { Accept: "text/event-stream", ...authorization(token), ...(position && { "Last-Event-ID": position }) };
  const response = await send(fetch, url, { headers, signal }, position);
  if (response.status === 204) return onEvent({ type: "$close", data: `{"code":${RUN_ENDED},"reconnect":false}`, id: "" });
  if (!response.ok) throw await problemOf(response, url);
  // The page of a site that answers every address with it, of a proxy, or of a captive portal.
  if (!response.headers.get("content-type")?.startsWith("text/event-stream")) throw new SluiceError("network", absent(url));
  if (!response.body?.getReader) throw response.body === null ? lost() : unsupported("Response.body");
  const feed = parser(onEvent);
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  for (;;) {
    await untilRoom();
    if (signal.aborted) return;
    const { done, value } = await reader.read().catch((cause: unknown) => {
      throw lost(cause);
    });
    if (done) return;
    onSign();
    feed(decoder.decode(value, { stream: true }));
  }
}

/** The events that are not messages. */
const CONTROL = ["$open", "$run", "$gap", "$live", "$position", "$close"];

/**
 * Reads the stream with the browser's `EventSource`, where `fetch` cannot stream. The token is in the
 * address, a refusal looks like any other failure, heartbeats are invisible, and the browser keeps
 * reading whether there is room or not.
 */
export async function overEventSource({ url, token, position, topics, signal, onEvent, onSign }: Attempt): Promise<void> {
  if (!globalThis.EventSource) throw unsupported("EventSource");
  if (token) url.searchParams.set("access_token", token);
  url.searchParams.delete("until"); // after the end, the answer would look like any other failure
  if (position) url.searchParams.set("last_event_id", position);
  const source = new EventSource(url);
  for (const type of new Set([...CONTROL, ...topics])) {
    source.addEventListener(type, ({ data, lastEventId: id }: MessageEvent<string>) => {
      position = id;
      onSign();
      onEvent({ type, data, id });
    });
  }
  return new Promise<void>((resolve, reject) => {
    signal.addEventListener("abort", () => resolve());
    source.onerror = () => reject(lost(undefined, !position && url));
  }).finally(() => source.close()); // or the browser would reconnect with the old token
}
