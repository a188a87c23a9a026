import { useContext, useEffect, useInsertionEffect, useState, useSyncExternalStore } from "react";
import { nameOf } from "../../channel.js";
import { Connection } from "../../react/provider.js";
import { settle, type Settings } from "../../react/settings.js";
import { latestOf } from "../../request.js";
import { followPresence, type PresenceOptions, type PresenceSubscription } from "../follow.js";
import { NOBODY, type Presence } from "../readers.js";

/** All options can be inline. The latest token is always used; the other options are read when the hook connects. */
export interface UsePresenceOptions extends Omit<PresenceOptions, "channel" | "onChange" | "signal"> {
  /** false disconnects, and keeps what is known. Default: true. */
  enabled?: boolean | undefined;
  /** Disconnect while the page is hidden. Default: true. */
  pauseOnHidden?: boolean | undefined;
}

/** What follows a channel for one component. */
interface Store {
  readonly getState: () => Presence;
  readonly subscribe: (listener: () => void) => () => void;
  /** The component has rendered with these options. */
  committed(settings: Settings): void;
  start(): void;
  stop(): void;
}

/**
 * Tells a component who reads a channel, for as long as it is mounted. It connects after the first
 * render, so on a server nobody is there.
 *
 * Below a {@link RealtimeProvider} it needs neither url nor token. The token must grant the topic
 * `$presence` by its name. The hook only watches: whoever reads the channel, with `useRealtime`, is there.
 *
 * @example
 * const { subjects, count } = usePresence("room:1");
 */
export function usePresence(channel: PresenceOptions["channel"], options: UsePresenceOptions = {}): Presence {
  const { enabled = true, pauseOnHidden = true } = options;
  const settings = settle({ ...options, channel }, useContext(Connection));
  const id = JSON.stringify([nameOf(channel), settings.url]);
  const [current, setCurrent] = useState(() => ({ id, store: createStore(settings) }));
  let { store } = current;
  if (current.id !== id) setCurrent({ id, store: (store = createStore(settings)) });

  useInsertionEffect(() => store.committed(settings));
  useEffect(() => (enabled ? run(store, pauseOnHidden) : undefined), [store, enabled, pauseOnHidden]);
  return useSyncExternalStore(store.subscribe, store.getState, () => NOBODY);
}

/** Starts a store, which runs until the returned function is called. */
function run(store: Store, pauseOnHidden: boolean): () => void {
  const page = pauseOnHidden ? globalThis.document : undefined; // there is none in React Native
  const look = (): void => (page?.hidden ? store.stop() : store.start());
  look();
  page?.addEventListener("visibilitychange", look);
  return () => {
    page?.removeEventListener("visibilitychange", look);
    store.stop();
  };
}

function createStore(first: Settings): Store {
  const listeners = new Set<() => void>();
  const own = latestOf(() => settings.token);
  let settings = first;
  let state = NOBODY;
  let following: PresenceSubscription | undefined;

  function show(presence: Presence): void {
    state = presence;
    for (const listener of listeners) listener();
  }

  return {
    getState: () => state,
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    committed(latest) {
      settings = latest;
    },
    start() {
      if (following) return;
      const { channel, ownToken, token } = settings;
      following = followPresence({ ...settings, channel: channel!, token: ownToken ? own : token, signal: undefined });
      const given = following;
      const look = (): void => {
        const now = given.getSnapshot();
        // Until it is open again, what was known is shown.
        show(now.status === "connecting" ? { ...state, status: now.status, error: now.error } : now);
      };
      given.subscribe(look);
      look();
    },
    stop() {
      const given = following;
      following = undefined;
      given?.close();
      if (given) show({ ...state, status: "paused" });
    },
  };
}
