import { call } from "./call.js";
import type { WireMessage } from "./decode.js";
import { SluiceError } from "./error.js";
import type { Item } from "./inbox.js";
import type { Iteration } from "./iteration.js";
import type { DataMessage, Message, TextStream } from "./message.js";
import type { RunState } from "./runstate.js";
import { check, isText, type Result, type StandardSchema } from "./schema.js";
import type { Handlers } from "./snapshot.js";
import type { Store } from "./store.js";
import type { IncomingText } from "./text.js";

/** Gaps that a snapshot holds. */
const MAX_GAPS = 100;

export interface DeliveryOptions<M extends Message> extends Handlers<M> {
  /** undefined: nothing is to be checked. */
  schemaOf(channel: string, topic: string): StandardSchema | undefined;
}

/** Hands over to the handlers, the listeners and the loops what has arrived. */
export interface Delivery {
  /** Hands over an item. If it returns a promise, the next item waits for that. */
  hand(item: Item): Promise<unknown> | undefined;
  /** Hands over what was added to a text that has been handed over. */
  grow(text: IncomingText, chunk: string): void;
}

/**
 * @param isOver the snapshot then keeps the error that ended the subscription
 */
export function createDelivery<M extends Message>(
  options: DeliveryOptions<M>,
  store: Store<M>,
  runs: RunState,
  iteration: Iteration<M>,
  isOver: () => boolean,
): Delivery {
  function judge(message: DataMessage, result: Result<unknown>): Promise<unknown> | undefined {
    return result.issues ? refuse(message, result.issues) : deliver({ ...message, data: result.value } as M);
  }

  function refuse(message: WireMessage, cause: unknown): Promise<unknown> | undefined {
    const error = new SluiceError("invalid-message", `Invalid message of ${message.topic}`, { cause });
    store.update(isOver() ? {} : { error });
    return call(options.onInvalid, error, message);
  }

  function deliver(message: M): Promise<unknown> | undefined {
    store.show(message);
    return iteration.offer(message, call(options.onMessage, message), options.onMessage ?? store.listeners.size);
  }

  function hand({ event, text }: Item): Promise<unknown> | undefined {
    if (event.type === "$gap") {
      store.update({ gaps: [...store.get().gaps, event.value].slice(-MAX_GAPS) });
      return call(options.onGap, event.value);
    }
    if (event.type === "$live") return (runs.caughtUp(), call(options.onLive)); // in its turn: the status may still wait
    if (event.fault) return refuse(event.value, event.fault);
    if (event.type === "$run") {
      const run = runs.take(event.value, event.id);
      store.update({ run });
      return call(options.onRun, run, event.value);
    }
    const message = event.value as DataMessage;
    const schema = options.schemaOf(message.channel, event.topic);
    if (text) {
      if (schema && !isText(schema)) return refuse(event.value, "The topic is not text()");
      text.isShown = true;
      return deliver(text.message() as M);
    }
    if (!schema) return deliver(message as M);
    const result = check(schema, message.data);
    return result instanceof Promise ? result.then((late) => judge(message, late)) : judge(message, result);
  }

  function grow(text: IncomingText, chunk: string): void {
    const message = text.message() as Extract<M, TextStream>;
    store.show(message);
    void call(options.onChunk, message, chunk);
  }

  return { hand, grow };
}
