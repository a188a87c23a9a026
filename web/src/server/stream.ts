import type { TopicRef } from "../channel.js";
import type { CallOptions, Caller } from "./caller.js";
import { orAbort } from "./deadline.js";
import { Feed, type Source } from "./feed.js";
import type { PublishResult } from "./item.js";
import { LineStream } from "./lines.js";
import { streamText, type StreamReceipt } from "./text.js";

export interface StreamOptions extends CallOptions {
  /** The run that it belongs to. */
  readonly runId?: string | undefined;
  /**
   * What the source gives: the pieces of one text (`stream`), or messages (`data`). Default: what
   * the first value says, where strings and bytes are text. It is needed for messages that are
   * strings, and for messages if there may be none: without a first value it is an empty text.
   */
  readonly kind?: "stream" | "data" | undefined;
}

/** Publishes what a source gives: as one text, or as messages. The source is closed in any case. */
export async function stream(
  caller: Caller,
  ref: TopicRef,
  source: Source<unknown>,
  options: StreamOptions,
): Promise<StreamReceipt | PublishResult[]> {
  const feed = new Feed(source);
  try {
    const kind = options.kind ?? kindOf(await orAbort(feed.peek(), options.signal));
    if (kind === "stream") return await streamText(caller, ref, feed, options);
    return await new LineStream(caller, ref, feed, options).run();
  } finally {
    feed.close();
  }
}

function kindOf({ done, value }: IteratorResult<unknown>): "stream" | "data" {
  return done || typeof value === "string" || value instanceof Uint8Array ? "stream" : "data";
}
