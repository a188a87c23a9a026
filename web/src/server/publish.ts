import { orAbort } from "../abort.js";
import type { AnyRef } from "../channel.js";
import { SluiceError } from "../error.js";
import type { Receipt } from "../message.js";
import { Batch } from "./batch.js";
import type { CallOptions, Caller } from "./caller.js";
import { itemOf, type Attributes, type PublishResult } from "./item.js";

export interface PublishOptions extends Attributes, CallOptions {}

/** One of several messages. */
export interface PublishItem<Input = unknown> extends Attributes {
  readonly ref: AnyRef<Input>;
  readonly data: NoInfer<Input>;
}

/** How single messages are sent. */
export interface Publisher {
  /**
   * Publishes one message, with retries. Channel and topic are in the item, where no proxy can mistake a
   * name for part of a path.
   *
   * @param item resolves with the message as it is sent, once it is known to be valid
   * @param once it has a key
   */
  publish(channel: string, item: Promise<string>, once: boolean, options: CallOptions): Promise<Receipt>;
}

/** Sends each message with a request of its own. */
export function singly(caller: Caller): Publisher {
  return {
    async publish(_, item, once, { signal }) {
      const body = await orAbort(item, signal);
      return caller.call({ method: "POST", path: "/v1/publish", body, once, signal });
    },
  };
}

/** Publishes one message. */
export async function publish(publisher: Publisher, ref: AnyRef, data: unknown, options: PublishOptions): Promise<Receipt> {
  return publisher.publish(ref.channel, itemOf(ref, data, options), options.key !== undefined, options);
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
