import { orAbort } from "../abort.js";
import type { TopicRef } from "../channel.js";
import type { Receipt } from "../message.js";
import { Batch } from "./batch.js";
import type { CallOptions, Caller } from "./caller.js";
import { SluiceError } from "../error.js";
import { itemOf, type Attributes, type PublishResult } from "./item.js";

export interface PublishOptions extends Attributes, CallOptions {}

/** One of several messages. */
export interface PublishItem<Input = unknown> extends Attributes {
  readonly ref: TopicRef<string, Input>;
  readonly data: NoInfer<Input>;
}

/** Publishes one message. Channel and topic go into the body, where no proxy can mistake a name for part of a path. */
export async function publish(caller: Caller, ref: TopicRef, data: unknown, options: PublishOptions): Promise<Receipt> {
  const body = await orAbort(itemOf(ref, data, options), options.signal);
  return caller.call({ method: "POST", path: "/v1/publish", body, once: options.key !== undefined, signal: options.signal });
}

/** Publishes messages in order. The result of each is in its place. */
export async function publishMany(caller: Caller, items: readonly PublishItem[], options: CallOptions): Promise<PublishResult[]> {
  const results: PublishResult[] = [];
  const batch = new Batch(caller, options, results);
  for (const [index, { ref, data, ...attributes }] of items.entries()) {
    try {
      await batch.add(index, await orAbort(itemOf(ref, data, attributes), options.signal), attributes.key !== undefined);
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      results[index] = error;
    }
  }
  await batch.flush();
  return results;
}
