import { call } from "./call.js";
import type { Message } from "./message.js";
import type { Handlers, Snapshot } from "./snapshot.js";

/** Holds the snapshot of a subscription, and tells the listeners of its changes. */
export interface Store<M extends Message> {
  get(): Snapshot<M>;
  /** Makes a new snapshot. */
  update(change: Partial<Snapshot<M>>): void;
  /** Records that everything up to a position was handed over. Listeners are not called, because nobody displays that. */
  moveTo(position: string | null): void;
  /** Makes a message the latest one, and the latest of its topic. */
  show(message: M): void;
  /** They are called after each change. */
  readonly listeners: Set<() => void>;
}

export function createStore<M extends Message>(position: string | null, onStatus: Handlers<M>["onStatus"]): Store<M> {
  const listeners = new Set<() => void>();
  let snapshot: Snapshot<M> = {
    status: "connecting",
    pauseReason: null,
    error: null,
    run: { status: "unknown" },
    gaps: [],
    last: null,
    byTopic: {},
    position,
  };

  function update(change: Partial<Snapshot<M>>): void {
    const before = snapshot.status;
    snapshot = { ...snapshot, ...change };
    if (snapshot.status !== before) void call(onStatus, snapshot.status, snapshot);
    for (const listener of listeners) void call(listener);
  }

  return {
    get: () => snapshot,
    update,
    moveTo(position) {
      snapshot = { ...snapshot, position };
    },
    show: (message) => update({ last: message, byTopic: { ...snapshot.byTopic, [message.topic]: message } }),
    listeners,
  };
}
