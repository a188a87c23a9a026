"use client";
Object.defineProperty(exports, Symbol.toStringTag, { value: "Module" });
const require_subscribe = require("./shared-subscribe.cjs");
const require_settings = require("./shared-settings.cjs");
const require_request = require("./shared-request.cjs");
const require_follow = require("./shared-follow.cjs");
let react = require("react");
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
	const settings = require_settings.settle({
		...options,
		channel
	}, (0, react.useContext)(require_settings.Connection));
	const id = JSON.stringify([require_subscribe.nameOf(channel), settings.url]);
	const [current, setCurrent] = (0, react.useState)(() => ({
		id,
		store: createStore(settings)
	}));
	let { store } = current;
	if (current.id !== id) setCurrent({
		id,
		store: store = createStore(settings)
	});
	(0, react.useInsertionEffect)(() => store.committed(settings));
	(0, react.useEffect)(() => enabled ? run(store, pauseOnHidden) : void 0, [
		store,
		enabled,
		pauseOnHidden
	]);
	return (0, react.useSyncExternalStore)(store.subscribe, store.getState, () => require_follow.NOBODY);
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
	const own = require_request.latestOf(() => settings.token);
	let settings = first;
	let state = require_follow.NOBODY;
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
			following = require_follow.followPresence({
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
exports.usePresence = usePresence;
