import type { Ask } from "./ask.js";
import { parser, type WireEvent } from "./events.js";
import { authorization, lost, problemOf, send, type Fetch } from "./request.js";

/** One connection from its request to its end. */
export interface Attempt extends Ask {
  readonly token: string;
  readonly signal: AbortSignal;
  readonly fetch: Fetch | undefined;
  onEvent(event: WireEvent): void;
  /** Something was received, be it a heartbeat. */
  onSign(): void;
}

/** Carries an attempt. It comes back at the end of the stream and throws a {@link SluiceError} for any other end. */
export type Transport = (attempt: Attempt) => Promise<void>;

/** Reads the stream with `fetch`: the token goes into a header and the status is seen. */
export async function overFetch({ url, token, position, signal, fetch, onEvent, onSign }: Attempt): Promise<void> {
  const headers = { Accept: "text/event-stream", ...authorization(token), ...(position && { "Last-Event-ID": position }) };
  const response = await send(fetch, url, { headers, signal });
  if (response.status !== 200) throw await problemOf(response);
  if (!response.headers.get("content-type")?.startsWith("text/event-stream")) throw lost(); // a proxy's or a portal's page
  const feed = parser(onEvent);
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  for (let read; !signal.aborted && !(read = await reader.read()).done;) {
    onSign();
    feed(read.value);
  }
}

/** Events that Sluice sends of itself. */
const CONTROL = ["$open", "$run", "$gap", "$position", "$close"];

/**
 * Reads the stream with the browser's `EventSource`, for where `fetch` does not stream. The token
 * is seen in the address, a refusal looks like any other fault, and heartbeats are not seen.
 */
export function overEventSource({ url, token, position, topics, signal, onEvent, onSign }: Attempt): Promise<void> {
  if (token) url.searchParams.set("access_token", token);
  if (position) url.searchParams.set("last_event_id", position);
  const source = new EventSource(url);
  for (const type of new Set([...CONTROL, ...topics])) {
    source.addEventListener(type, ({ data, lastEventId: id }: MessageEvent<string>) => {
      onSign();
      onEvent({ type, data, id });
    });
  }
  return new Promise<void>((resolve, reject) => {
    signal.addEventListener("abort", () => resolve());
    source.onerror = () => reject(lost());
  }).finally(() => source.close()); // else the browser would come again with the old token
}
