import type { TopicRef } from "../channel.js";
import type { SluiceError } from "../error.js";
import type { Message, Receipt } from "../message.js";
import { publish, type PublishOptions } from "../publish.js";
import { credential } from "../request.js";
import type { Snapshot } from "../snapshot.js";
import { subscribe, type ChannelLike } from "../subscribe.js";
import type { Subscription } from "../subscription.js";
import type { Settings } from "./settings.js";
import { failureOf, NOTHING, type PauseReason, type State } from "./state.js";

/**
 * A subscription of one component, which begins, rests and goes on with it. It tells of changes
 * only in what the component reads.
 */
export interface Store {
  readonly getState: () => State;
  readonly subscribe: (listener: () => void) => () => void;
  /** Reads a field of a state for the component. */
  read(state: State, field: keyof State): unknown;
  /** The component shows a state, and has these options. */
  committed(state: State, settings: Settings): void;
  /** Begins, or goes on where it was. */
  start(hidden: boolean): void;
  /** Rests while nobody sees the page. */
  hide(hidden: boolean): void;
  /** Rests until the next start. What has not connected yet is given up. */
  stop(): void;
  readonly publish: <Input>(ref: TopicRef<string, Input>, data: Input, options?: PublishOptions) => Promise<Receipt>;
  /** Another one with the same options, which has received nothing. */
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
  let timer: ReturnType<typeof setTimeout> | undefined; // runs while messages are buffered
  let subscription: Subscription | undefined;

  function open(): Subscription {
    const opened = subscribe<ChannelLike, string>({
      ...settings,
      token: settings.ownToken ? () => credential(settings.token) : settings.token,
      onMessage(message) {
        history.push(message);
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
      // What is given up before it connected is not told of: StrictMode does that to each.
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
      timer ??= setTimeout(() => {
        stopTimer();
        commit();
      }, bufferInterval);
    }
    schedule();
  }

  function stopTimer(): void {
    clearTimeout(timer);
    timer = undefined;
  }

  /** Makes one change of all that arrives in one piece. */
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
    if (!live) stopTimer(); // what is buffered is all that comes
    const all = fresh.length && !timer && { all: [...history], last, delta: takeFresh() };
    return {
      connectionStatus: status,
      isPaused: status === "paused",
      pauseReason: pauseReason as PauseReason,
      runStatus: run.status,
      result: run.result,
      error: error ?? failure,
      gaps: gaps.length ? gaps : NOTHING.gaps, // none are always the same, so that nothing has changed
      byTopic: last ? byTopic : NOTHING.byTopic,
      ...all,
    };
  }

  /** What a component that reads it has not been shown yet is not lost with the next change. */
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
      // Of what has changed unseen the component must be told now.
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
      // Before its first position a pause would wait for one, and that of a component that has gone would wait for nobody.
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

/** Puts a text in the place of what it was before, which is one of the last. Tells whether that was there. */
function replace(list: Message[], message: Message): boolean {
  const at = message.kind === "stream" ? list.findLastIndex((each) => each.kind === "stream" && each.stream_id === message.stream_id) : -1;
  if (at >= 0) list[at] = message;
  return at >= 0;
}
