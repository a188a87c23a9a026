"use client";
import { o as nameOf } from "./shared-subscribe.js";
import { n as settle, r as Connection } from "./shared-settings.js";
import { a as latestOf } from "./shared-request.js";
import { n as NOBODY, t as followPresence } from "./shared-follow.js";
import { useContext, useEffect, useInsertionEffect, useState, useSyncExternalStore } from "react";
// src/presence/react/presence.ts
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
function usePresence(channel, options = {}) {
	const { enabled = true, pauseOnHidden = true } = options;
	const settings = settle({
		...options,
		channel
	}, useContext(Connection));
	const id = JSON.stringify([nameOf(channel), settings.url]);
	const [current, setCurrent] = useState(() => ({
		id,
		store: createStore(settings)
	}));
	let { store } = current;
	if (current.id !== id) setCurrent({
		id,
		store: store = createStore(settings)
	});
	useInsertionEffect(() => store.committed(settings));
	useEffect(() => enabled ? run(store, pauseOnHidden) : void 0, [
		store,
		enabled,
		pauseOnHidden
	]);
	return useSyncExternalStore(store.subscribe, store.getState, () => NOBODY);
}
/** Starts a store, which runs until the returned function is called. */
function run(store, pauseOnHidden) {
	const page = pauseOnHidden ? globalThis.document : void 0;
	const look = () => page?.hidden ? store.stop() : store.start();
	look();
	page?.addEventListener("visibilitychange", look);
	return () => {
		page?.removeEventListener("visibilitychange", look);
		store.stop();
	};
}
function createStore(first) {
	const listeners = /* @__PURE__ */ new Set();
	const own = latestOf(() => settings.token);
	let settings = first;
	let state = NOBODY;
	let following;
	function show(presence) {
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
			following = followPresence({
				...settings,
				channel,
				token: ownToken ? own : token,
				signal: void 0
			});
			const given = following;
			const look = () => {
				const now = given.getSnapshot();
				show(now.status === "connecting" ? {
					...state,
					status: now.status,
					error: now.error
				} : now);
			};
			given.subscribe(look);
			look();
		},
		stop() {
			const given = following;
			following = void 0;
			given?.close();
			if (given) show({
				...state,
				status: "paused"
			});
		}
	};
}
export { usePresence };
