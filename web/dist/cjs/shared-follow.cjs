const require_subscribe = require("./shared-subscribe.cjs");
const require_connection = require("./shared-connection.cjs");
// src/presence/readers.ts
/** Nothing is known. */
const NOBODY = {
	status: "connecting",
	subjects: [],
	count: 0,
	more: false,
	error: null
};
/** Creates what keeps the subjects: it returns what is known after an event, undefined if the next one belongs to it. */
function createReaders() {
	const names = /* @__PURE__ */ new Set();
	return ({ state, joined, left, count, partial, more = false }) => {
		if (state) names.clear();
		for (const name of joined) names.add(name);
		for (const name of left) names.delete(name);
		return partial ? void 0 : {
			subjects: [...names].sort(),
			count,
			more
		};
	};
}
// src/presence/follow.ts
const TOPIC = "$presence";
/** What is followed now. */
const inUse = /* @__PURE__ */ new Set();
/**
* Follows who reads a channel. The token must grant the topic `$presence` by its name. Whoever
* follows a channel is not among its readers: for that, subscribe to it.
*
* It has a connection of its own, which all who follow the same channel with equal options share.
* It reconnects by itself.
*
* @throws TypeError for a pattern
*/
function followPresence(options) {
	const { signal, onChange } = options;
	const channel = require_subscribe.nameOf(options.channel);
	if (channel.endsWith("*")) throw new TypeError("presence needs one channel");
	const listeners = /* @__PURE__ */ new Set();
	let shared = join(require_subscribe.routeOf(options), channel);
	let last = shared.presence;
	let known;
	function look() {
		if (!shared) return;
		last = shared.presence;
		if (last.status === "open" && !(known && alike(known, last))) {
			const [before, now] = [known?.subjects ?? [], last.subjects];
			known = last;
			require_subscribe.call(onChange, last, {
				joined: now.filter(notIn(before)),
				left: before.filter(notIn(now))
			});
		}
		for (const listener of listeners) require_subscribe.call(listener);
	}
	function close() {
		if (!shared) return;
		leave(shared, look);
		shared = void 0;
		signal?.removeEventListener("abort", close);
		last = {
			...last,
			status: last.status === "error" ? "error" : "closed"
		};
		for (const listener of listeners) require_subscribe.call(listener);
	}
	shared.listeners.add(look);
	if (last.status === "open") queueMicrotask(look);
	if (signal?.aborted) close();
	else signal?.addEventListener("abort", close);
	return {
		getSnapshot: () => last,
		subscribe(listener) {
			listeners.add(listener);
			return () => void listeners.delete(listener);
		},
		close
	};
}
/** Returns the connection for a channel, and makes it if there is none. */
function join(route, channel) {
	const keys = Object.keys(route);
	for (const shared of inUse) if (shared.channel === channel && keys.every((key) => shared.route[key] === route[key])) return shared;
	return open(route, channel);
}
function leave(shared, listener) {
	shared.listeners.delete(listener);
	if (shared.listeners.size) return;
	drop(shared);
	shared.connection.close();
}
function drop(shared) {
	inUse.delete(shared);
	shared.unwatch();
}
function open(route, channel) {
	const readers = createReaders();
	const shared = {
		route,
		channel,
		listeners: /* @__PURE__ */ new Set(),
		presence: NOBODY
	};
	function update(change) {
		shared.presence = {
			...shared.presence,
			...change
		};
		for (const listener of [...shared.listeners]) listener();
	}
	const member = {
		channels: [channel],
		topics: [TOPIC],
		replay: "none",
		alone: true,
		get position() {
			return null;
		},
		set position(_) {},
		take({ topic, value }) {
			if (topic !== TOPIC) return;
			const now = readers(value);
			if (now) update({
				...now,
				status: "open",
				error: null
			});
		},
		room: () => void 0,
		rest: () => void 0,
		onLost: (error) => update({
			status: "connecting",
			error
		}),
		onEnd(error, closed) {
			drop(shared);
			update({
				status: closed ? "closed" : "error",
				error
			});
		}
	};
	inUse.add(shared);
	shared.unwatch = require_subscribe.watchPage((online) => shared.connection.revive(online));
	shared.connection = require_connection.connect(route, /* @__PURE__ */ new Set([member]), {
		onOpen: () => void 0,
		onApart: () => void 0,
		onEnd: () => void 0
	});
	return shared;
}
/** Reports whether two say the same about the readers. */
function alike(a, b) {
	return a.count === b.count && a.more === b.more && a.subjects.join("\n") === b.subjects.join("\n");
}
function notIn(names) {
	const set = new Set(names);
	return (name) => !set.has(name);
}
Object.defineProperty(exports, "NOBODY", {
	enumerable: true,
	get: function() {
		return NOBODY;
	}
});
Object.defineProperty(exports, "followPresence", {
	enumerable: true,
	get: function() {
		return followPresence;
	}
});
