import { arrive } from "./arrival.js";
import { ring, wait, type Bell } from "./bell.js";
import { RUN_ENDED } from "./decode.js";
import { createDelivery, type DeliveryOptions } from "./delivery.js";
import type { SluiceError } from "./error.js";
import { createInbox, type Item } from "./inbox.js";
import { createIteration } from "./iteration.js";
import { createMembership, type MembershipOptions } from "./membership.js";
import type { Message } from "./message.js";
import type { Pool } from "./pool.js";
import { createRunState } from "./runstate.js";
import type { Snapshot, Status } from "./snapshot.js";
import { createStore } from "./store.js";
import { createTexts } from "./texts.js";

/**
 * A subscription, which lasts until it is closed or refused. Read it as an async iterable, with
 * handlers, or as a store. Each message arrives once, and those of one channel in the order of their
 * ids. With several channels and a server on NATS, a message may arrive after newer ones of other
 * channels.
 *
 * Without onMessage and without a listener, messages wait for a loop to take them. While too many
 * wait, nothing more is read, so memory does not grow; the server buffers within its own limits. If
 * nothing is taken for ten seconds, the subscription disconnects, and resumes when there is room. If
 * others share the connection and keep up, sixteen times as much may wait; then the slow subscription
 * gets its own connection.
 *
 * A loop throws the error that the subscription ended with. Leaving the loop closes the subscription.
 */
export interface Subscription<M extends Message = Message> extends AsyncIterable<M> {
  /** Returns the current state. */
  getSnapshot(): Snapshot<M>;
  /** Calls the listener after each change of the snapshot, until the returned function is called. */
  subscribe(listener: () => void): () => void;
  /**
   * Disconnects and keeps the position, from which resume() continues. Before the first connection
   * has opened there is no position yet, so it waits for that. Default reason: "".
   */
  pause(reason?: string): void;
  /** Removes a reason to pause. Without any other, it resumes. */
  resume(reason?: string): void;
  /** Ends the subscription and drops the messages that wait to be taken. */
  close(): void;
}

export interface SubscriptionOptions<M extends Message> extends DeliveryOptions<M>, MembershipOptions {
  readonly autoCloseOnTerminal?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** How many times the usual amount may wait where reading cannot stop: in an EventSource, and for other tabs. */
const MOST = 32;

/** How full the inbox may be for a subscription to join its pool again that left it for lack of room. */
const ROOMY = 1 / 4;

/**
 * Creates a subscription from its parts. Events arrive through the membership of a pool. Those that
 * are for the user wait in the inbox until the delivery hands them over; a text that has begun grows
 * at once, past the inbox.
 *
 * @param findPool is called on every (re)join, so that equal routes share a pool
 */
export function createSubscription<M extends Message>(findPool: () => Pool, options: SubscriptionOptions<M>): Subscription<M> {
  const { signal } = options;
  const bell: Bell = new Set(); // rings when something was taken or has arrived, and at the end
  const runs = createRunState();
  const store = createStore(options.lastEventId ?? null, options.onStatus);
  const iteration = createIteration<M>(bell, () => (membership.isOver() && !inbox.fullness() ? store.get() : undefined), close);
  const delivery = createDelivery(options, store, runs, iteration, () => membership.isOver());
  const inbox = createInbox(delivery.hand, taken, emptied);
  const texts = createTexts(bell, () => membership.hold(false), delivery.grow);
  const membership = createMembership(findPool, options, store.update, bell, {
    take(event) {
      const item = arrive(event, runs, texts);
      if (item) inbox.push(item);
      if (inbox.fullness() > MOST && !texts.isAwaited()) membership.hold(true);
      void inbox.pump();
    },
    room: (scale) => (inbox.fullness() >= scale && !texts.isAwaited() ? wait(bell) : undefined),
    onEnd: (error, closed) => end(closed ? "closed" : "error", error.code === RUN_ENDED ? null : error),
  });

  function taken({ event }: Item): void {
    store.moveTo(event.id);
    ring(bell);
    if (inbox.fullness() < ROOMY) membership.hold(false);
  }

  function emptied(): void {
    const position = membership.position();
    if (!membership.isOver()) store.moveTo(position);
    if (options.autoCloseOnTerminal && runs.isOver(position)) close();
  }

  function end(status: Status, error: SluiceError | null): void {
    if (membership.isOver()) return;
    signal?.removeEventListener("abort", close);
    texts.end();
    membership.end(status, error);
    ring(bell);
  }

  function close(): void {
    inbox.dropAll();
    iteration.withdraw();
    end("closed", null);
  }

  if (signal?.aborted) close();
  else signal?.addEventListener("abort", close);
  return {
    getSnapshot: store.get,
    subscribe(listener) {
      store.listeners.add(listener);
      iteration.skip();
      return () => void store.listeners.delete(listener);
    },
    pause: membership.pause,
    resume: membership.resume,
    close,
    [Symbol.asyncIterator]: iteration.newLoop,
  };
}
