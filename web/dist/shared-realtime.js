import { n as settle, r as Connection, t as identityOf } from "./shared-settings.js";
import { publish } from "./publish.js";
import { a as latestOf, d as SluiceError, f as after } from "./shared-request.js";
import { n as subscribe } from "./shared-subscribe.js";
import { useCallback, useContext, useEffect, useInsertionEffect, useMemo, useState, useSyncExternalStore } from "react";
// src/react/state.ts
/** The state before a subscription starts, and on a server. */
const NOTHING = {
	connectionStatus: "idle",
	isPaused: false,
	pauseReason: null,
	runStatus: "unknown",
	result: void 0,
	error: null,
	gaps: [],
	byTopic: {},
	all: [],
	last: null,
	delta: []
};
/** Returns the error of a failed run. */
function failureOf({ status, error }) {
	if (status !== "failed") return null;
	const words = error?.message ?? error;
	return new SluiceError("run-failed", typeof words === "string" ? words : "The run has failed", { cause: error });
}
// src/react/store.ts
function createStore(settings) {
	const listeners = /* @__PURE__ */ new Set();
	const seen = /* @__PURE__ */ new Set();
	const history = [];
	let fresh = [];
	let shown = NOTHING.delta;
	let state = NOTHING;
	let failure = null;
	let scheduled = false;
	let timer;
	let subscription;
	function open() {
		const opened = subscribe({
			...settings,
			token: settings.ownToken ? latestOf(() => settings.token) : settings.token,
			onMessage(message) {
				if (!replace(history, message)) history.push(message);
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
			onStatus: (status, snapshot) => subscription && settings.onStatus?.(status, snapshot),
			onInvalid: (error, message) => settings.onInvalid?.(error, message)
		});
		opened.subscribe(schedule);
		return opened;
	}
	function received() {
		const { historyLimit = 100, bufferInterval = 0 } = settings;
		if (historyLimit !== null) history.splice(0, history.length - historyLimit);
		if (bufferInterval > 0) timer ??= after(bufferInterval, () => {
			stopTimer();
			commit();
		});
		schedule();
	}
	function stopTimer() {
		timer?.();
		timer = void 0;
	}
	/** Makes one change of everything that arrives together. */
	function schedule() {
		if (!scheduled) queueMicrotask(commit);
		scheduled = true;
	}
	function commit() {
		scheduled = false;
		const next = subscription ? {
			...state,
			...fold(subscription.getSnapshot())
		} : NOTHING;
		const changed = Object.keys(next).filter((field) => next[field] !== state[field]);
		if (!changed.length) return;
		state = next;
		if (changed.some((field) => seen.has(field))) notify();
	}
	function fold(snapshot) {
		const { status, pauseReason, run, error, gaps, byTopic, last } = snapshot;
		if (!(status === "open" || status === "connecting")) stopTimer();
		const all = fresh.length && !timer && {
			all: [...history],
			last,
			delta: takeFresh()
		};
		return {
			connectionStatus: status,
			isPaused: status === "paused",
			pauseReason,
			runStatus: run.status,
			result: run.result,
			error: error ?? failure,
			gaps: gaps.length ? gaps : NOTHING.gaps,
			byTopic: last ? byTopic : NOTHING.byTopic,
			...all
		};
	}
	/** Takes what is new. A delta that the component has not rendered yet stays part of the next one. */
	function takeFresh() {
		const delta = state.delta === shown || !seen.has("delta") ? [] : [...state.delta];
		for (const message of fresh) if (!replace(delta, message)) delta.push(message);
		fresh = [];
		return delta;
	}
	function notify() {
		for (const listener of listeners) listener();
	}
	const store = {
		getState: () => state,
		subscribe(listener) {
			listeners.add(listener);
			return () => void listeners.delete(listener);
		},
		read(from, field) {
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
			if (subscription?.getSnapshot().position) {
				subscription.pause("disabled");
				store.hide(false);
				return;
			}
			const given = subscription;
			subscription = void 0;
			given?.close();
			schedule();
		},
		publish: (ref, data, options) => publish(ref, data, {
			...options,
			url: settings.url,
			token: settings.token,
			fetch: settings.fetch
		}),
		anew: () => createStore(settings)
	};
	return store;
}
/** Replaces the earlier state of a text, which is near the end. Reports whether there was one. */
function replace(list, message) {
	const at = message.kind === "stream" ? list.findLastIndex((each) => each.kind === "stream" && textKey(each) === textKey(message)) : -1;
	if (at >= 0) list[at] = message;
	return at >= 0;
}
/** Names a text: its publisher may have chosen the stream id. */
function textKey({ channel, topic, stream_id }) {
	return [
		channel,
		topic,
		stream_id
	].join();
}
// src/react/realtime.ts
/** The fields of `messages`. */
const MESSAGES = [
	"byTopic",
	"all",
	"last",
	"delta"
];
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
function useRealtime(options) {
	const { enabled = true, pauseOnHidden = true } = options;
	const settings = settle(options, useContext(Connection));
	const id = identityOf(settings);
	const [current, setCurrent] = useState(() => ({
		id,
		store: createStore(settings)
	}));
	let { store } = current;
	if (current.id !== id) setCurrent({
		id,
		store: store = createStore(settings)
	});
	const state = useSyncExternalStore(store.subscribe, store.getState, store.getState);
	useInsertionEffect(() => store.committed(state, settings));
	useEffect(() => enabled ? run(store, pauseOnHidden) : void 0, [
		store,
		enabled,
		pauseOnHidden
	]);
	const reset = useCallback(() => setCurrent((latest) => ({
		...latest,
		store: latest.store.anew()
	})), []);
	return useMemo(() => view(store, state, reset), [
		store,
		state,
		reset
	]);
}
/** Starts a store, which runs until the returned function is called. */
function run(store, pauseOnHidden) {
	const page = pauseOnHidden ? globalThis.document : void 0;
	const look = () => store.hide(!!page?.hidden);
	store.start(!!page?.hidden);
	page?.addEventListener("visibilitychange", look);
	return () => {
		page?.removeEventListener("visibilitychange", look);
		store.stop();
	};
}
/** Returns the state with getters that note which fields are read. */
function view(store, state, reset) {
	const messages = {};
	const result = {
		messages,
		reset,
		publish: store.publish
	};
	for (const field of Object.keys(state)) Object.defineProperty(MESSAGES.includes(field) ? messages : result, field, {
		enumerable: true,
		get: () => store.read(state, field)
	});
	return result;
}
export { useRealtime as t };
