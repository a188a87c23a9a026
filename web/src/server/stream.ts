import { schemaOf, type AnyRef } from "../channel.js";
import { isText } from "../schema.js";
import type { Caller } from "./caller.js";
import { Feed, type Source } from "./feed.js";
import type { PublishResult } from "./item.js";
import { LineStream } from "./lines.js";
import type { TextPlan } from "./streamoptions.js";
import { streamText, type StreamReceipt } from "./text.js";

/** Publishes what a source yields: as one text if the topic is text(), and otherwise as messages. It always closes the source. */
export async function stream(
  caller: Caller,
  ref: AnyRef,
  source: Source<unknown>,
  options: TextPlan,
): Promise<StreamReceipt | PublishResult[]> {
  const feed = new Feed(source);
  try {
    options.signal?.throwIfAborted();
    if (isText(schemaOf(ref))) return await streamText(caller, ref, feed, options);
    return await new LineStream(caller, ref, feed, options).run();
  } finally {
    feed.close();
  }
}
