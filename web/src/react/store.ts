import type { AnyRef } from "../channel.js";
import type { SluiceError } from "../error.js";
import type { Message, Receipt, TextStream } from "../message.js";
import { publish, type PublishOptions } from "../publish.js";
import { latestOf } from "../request.js";
import type { Snapshot } from "../snapshot.js";
import { subscribe, type ChannelLike } from "../subscribe.js";
import type { Subscription } from "../subscription.js";
import { after } from "../timer.js";
import type { Settings } from "./settings.js";
import { failureOf, NOTHING, type PauseReason, type State } from "./state.js";

/**
 * The subscription of one component, which starts, pauses and resumes with it. It reports only
 * changes of fields that the component reads.
 */
export interface Store {
  readonly getState: () => State;
  readonly subscribe: (listener: () => void) => () => void;
  /** Reads a field of a state for the component. */
  read(state: State, field: keyof State): unknown;
  /** The component has rendered a state with these options. */
  committed(state: State, settings: Settings): void;
  /** Starts, or resumes. */
  start(hidden: boolean): void;
  /** Pauses while the page is hidden. */
  hide(hidden: boolean): void;
  /** Pauses until the next start. A subscription that has not connected yet is dropped. */
  stop(): void;
  readonly publish: <Input>(ref: AnyRef<Input>, data: Input, options?: PublishOptions) => Promise<Receipt>;
  /** Returns a new store with the same options, which has received nothing. */
  anew(): Store;
}

export function createStore(settings: Settings): Store {
  const listeners = new Set<() => void>();
  const seen = new Set<keyof State>(); // by the component
  const history: Message[] = []; // becomes `all`
  let fresh: Message[] = []; // since the last flush
  let shown: readonly Message[] = NOTHING.delta;
  let state: State = NOTHING;
  let failure: SluiceError | null = null; // of the run
  let scheduled = false;
  let timer: (() => void) | undefined; // stops the timer that runs while messages are buffered
  let subscription: Subscription | undefined;

  function open(): Subscription {
    const opened = subscribe<ChannelLike, string>({
      ...settings,
      token: settings.ownToken ? latestOf(() => settings.token) : settings.token,
      onMessage(message) {
        if (!replace(history, message)) history.push(message); // a text that starts over
        fresh.push(message);
        received();
        return settings.onMessage?.(message);
      },
      onChunk(message, chunk) {
        replace(history, message);
        fresh.push(message);
        received();
        return settings.onChunk?.(message, chunk);
      },
      onRun(run, ...rest) {
        failure = failureOf(run);
        return settings.onRun?.(run, ...rest);
      },
      onGap: (gap) => settings.onGap?.(gap),
      // Silent about subscriptions that are dropped before they connect: StrictMode drops each one.
      onStatus: (status, snapshot) => subscription && settings.onStatus?.(status, snapshot),
      onInvalid: (error, message) => settings.onInvalid?.(error, message),
    });
    opened.subscribe(schedule);
    return opened;
  }

  function received(): void {
    const { historyLimit = 100, bufferInterval = 0 } = settings;
    if (historyLimit !== null) history.splice(0, history.length - historyLimit);
    if (bufferInterval > 0) {
      timer ??= after(bufferInterval, () => {
        stopTimer();
        commit();
      });
    }
    schedule();
  }

  function stopTimer(): void {
    timer?.();
    timer = undefined;
  }

  /** Makes one change of everything that arrives together. */
  function schedule(): void {
    if (!scheduled) queueMicrotask(commit);
    scheduled = true;
  }

  function commit(): void {
    scheduled = false;
    const next = subscription ? { ...state, ...fold(subscription.getSnapshot()) } : NOTHING;
    const changed = (Object.keys(next) as (keyof State)[]).filter((field) => next[field] !== state[field]);
    if (!changed.length) return;
    state = next;
    if (changed.some((field) => seen.has(field))) notify();
  }

  function fold(snapshot: Snapshot): Partial<State> {
    const { status, pauseReason, run, error, gaps, byTopic, last } = snapshot;
    const live = status === "open" || status === "connecting";
    if (!live) stopTimer(); // nothing will be added to what is buffered
    const all = fresh.length && !timer && { all: [...history], last, delta: takeFresh() };
    return {
      connectionStatus: status,
      isPaused: status === "paused",
      pauseReason: pauseReason as PauseReason,
      runStatus: run.status,
      result: run.result,
      error: error ?? failure,
      gaps: gaps.length ? gaps : NOTHING.gaps, // the same empty list each time, so that it does not count as a change
      byTopic: last ? byTopic : NOTHING.byTopic,
      ...all,
    };
  }

  /** Takes what is new. A delta that the component has not rendered yet stays part of the next one. */
  function takeFresh(): Message[] {
    const delta = state.delta === shown || !seen.has("delta") ? [] : [...state.delta];
    for (const message of fresh) if (!replace(delta, message)) delta.push(message);
    fresh = [];
    return delta;
  }

  function notify(): void {
    for (const listener of listeners) listener();
  }

  const store: Store = {
    getState: () => state,
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    read(from, field) {
      // It changed while nobody read it, so the component must be told now.
      if (!seen.has(field) && from[field] !== state[field]) queueMicrotask(notify);
      seen.add(field);
      return from[field];
    },
    committed(from, latest) {
      shown = from.delta;
      settings = latest;
    },
    start(hidden) {
      subscription ??= open();
      store.hide(hidden);
      subscription.resume("disabled");
    },
    hide(hidden) {
      subscription?.[hidden ? "pause" : "resume"]("hidden");
    },
    stop() {
      // Without a position, a pause would connect to get one, for a component that is gone.
      if (subscription?.getSnapshot().position) {
        subscription.pause("disabled");
        store.hide(false);
        return;
      }
      const given = subscription;
      subscription = undefined;
      given?.close();
      schedule();
    },
    publish: (ref, data, options) => publish(ref, data, { ...options, url: settings.url, token: settings.token, fetch: settings.fetch }),
    anew: () => createStore(settings),
  };
  return store;
}

/** Replaces the earlier state of a text, which is near the end. Reports whether there was one. */
function replace(list: Message[], message: Message): boolean {
  const at = message.kind === "stream" ? list.findLastIndex((each) => each.kind === "stream" && textKey(each) === textKey(message)) : -1;
  if (at >= 0) list[at] = message;
  return at >= 0;
}

/** Names a text: its publisher may have chosen the stream id. */
function textKey({ channel, topic, stream_id }: TextStream): string {
  return [channel, topic, stream_id].join();
}
