import { useCallback, useContext, useEffect, useInsertionEffect, useMemo, useState, useSyncExternalStore } from "react";
import type { AnyRef } from "../channel.js";
import type { Message, Receipt } from "../message.js";
import type { PublishOptions } from "../publish.js";
import type { ChannelLike, MessageOf, TopicOf } from "../subscribe.js";
import { Connection } from "./provider.js";
import { identityOf, settle, type RealtimeOptions } from "./settings.js";
import type { Messages, Standing, State } from "./state.js";
import { createStore, type Store } from "./store.js";

/** What {@link useRealtime} returns. A component renders again only when a field that it has read changes. */
export interface Realtime<M extends Message = Message> extends Standing {
  readonly messages: Messages<M>;
  /** Forgets everything that was received and starts a new subscription. The function never changes. */
  readonly reset: () => void;
  /** Publishes with the subscription's url and token. The token needs a grant to publish. It throws a SluiceError. */
  readonly publish: <Input>(
    ref: AnyRef<Input>,
    data: NoInfer<Input>,
    options?: Pick<PublishOptions, "idempotencyKey" | "runId" | "signal">,
  ) => Promise<Receipt>;
}

/** The fields of `messages`. */
const MESSAGES = ["byTopic", "all", "last", "delta"];

/**
 * Subscribes a component to channels for as long as it is mounted. It connects after the first
 * render, so on a server every field keeps its initial value (`idle`).
 *
 * Below a {@link RealtimeProvider} it needs neither url nor token, and shares the connection. A hook
 * with its own token has its own connection.
 *
 * @example
 * const { messages, runStatus } = useRealtime({ channel: pipeline({ runId }), topics: ["status"] });
 * const status = messages.byTopic.status; // typed
 */
export function useRealtime<const C extends ChannelLike = string, const Topic extends TopicOf<C> = TopicOf<C>>(
  options: RealtimeOptions<C, Topic>,
): Realtime<MessageOf<C, Topic>> {
  const { enabled = true, pauseOnHidden = true } = options;
  const settings = settle(options, useContext(Connection));
  const id = identityOf(settings);
  const [current, setCurrent] = useState(() => ({ id, store: createStore(settings) }));
  let { store } = current;
  if (current.id !== id) setCurrent({ id, store: (store = createStore(settings)) });

  const state = useSyncExternalStore(store.subscribe, store.getState, store.getState);
  // Before all other effects: a message may arrive between a commit and its effects.
  useInsertionEffect(() => store.committed(state, settings));
  useEffect(() => (enabled ? run(store, pauseOnHidden) : undefined), [store, enabled, pauseOnHidden]);
  const reset = useCallback(() => setCurrent((latest) => ({ ...latest, store: latest.store.anew() })), []);
  return useMemo(() => view(store, state, reset), [store, state, reset]) as Realtime<MessageOf<C, Topic>>;
}

/** Starts a store, which runs until the returned function is called. */
function run(store: Store, pauseOnHidden: boolean): () => void {
  const page = pauseOnHidden ? globalThis.document : undefined; // there is none in React Native
  const look = (): void => store.hide(!!page?.hidden);
  store.start(!!page?.hidden);
  page?.addEventListener("visibilitychange", look);
  return () => {
    page?.removeEventListener("visibilitychange", look);
    store.stop();
  };
}

/** Returns the state with getters that note which fields are read. */
function view(store: Store, state: State, reset: () => void): object {
  const messages = {};
  const result = { messages, reset, publish: store.publish };
  for (const field of Object.keys(state) as (keyof State)[]) {
    Object.defineProperty(MESSAGES.includes(field) ? messages : result, field, {
      enumerable: true,
      get: () => store.read(state, field),
    });
  }
  return result;
}
