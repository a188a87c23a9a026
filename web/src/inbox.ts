import { call } from "./call.js";
import type { StreamEvent } from "./decode.js";
import type { IncomingText } from "./text.js";

/** Events that may wait before nothing more is read. */
const MAX_WAITING = 1024;

/** How long the waiting events may be on the wire, all together, in UTF-16 units. */
const MAX_UNITS = 1 << 20;

/** The events that are handed over. */
export type Queued = Extract<StreamEvent, { readonly type: "$gap" | "$live" | "$run" | "message" }>;

/** An event that waits to be handed over. */
export interface Item {
  readonly event: Queued;
  /** The text that starts with it. */
  readonly text: IncomingText | undefined;
}

/** Events in the order in which they arrived, handed over one at a time. */
export interface Inbox {
  push(item: Item): void;
  /** Hands over what waits, unless that is under way. */
  pump(): Promise<void>;
  /** Drops what waits. */
  dropAll(): void;
  /** How full it is. 0: nothing waits or is being handed over; from 1 on, nothing more should be read. */
  fullness(): number;
}

/**
 * @param hand hands an item over. If it returns a promise, the next item waits for that
 * @param taken is called when an item has been taken
 * @param emptied is called when the last item has been taken, and by a pump that finds none
 */
export function createInbox(hand: (item: Item) => Promise<unknown> | undefined, taken: (item: Item) => void, emptied: () => void): Inbox {
  let items: Item[] = [];
  let units = 0; // on the wire
  let busy = false; // the first item is being handed over
  return {
    push(item) {
      items.push(item);
      units += item.event.size;
    },
    async pump() {
      if (busy) return;
      busy = true;
      for (let item; (item = items[0]); taken(item)) {
        const pending = call(hand, item);
        if (pending) await pending;
        units -= item.event.size;
        items.shift();
      }
      busy = false;
      emptied();
    },
    dropAll() {
      items = [];
      units = 0;
    },
    fullness: () => Math.max(items.length / MAX_WAITING, units / MAX_UNITS),
  };
}
