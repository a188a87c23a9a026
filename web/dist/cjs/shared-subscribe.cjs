const require_request = require("./shared-request.cjs");
const require_connection = require("./shared-connection.cjs");
// src/schema.ts
/**
* Returns a schema for a type that is not checked at run time.
*
* @example staticSchema<{ token: string }>()
*/
function staticSchema() {
	return { "~standard": {
		version: 1,
		vendor: "sluice",
		validate: (value) => ({ value })
	} };
}
function textSchema() {
	return { "~standard": {
		version: 1,
		vendor: "sluice",
		text: true,
		validate: () => ({ issues: [{ message: "Not a streamed text" }] })
	} };
}
/** Reports whether a schema is that of texts. */
function isText(schema) {
	return "text" in schema["~standard"];
}
/** How long a validator may take. */
const CHECK_TIMEOUT_MS = 3e4;
/** Validates a value. If the validator throws or does not finish, that is an issue like any other. */
function check(schema, value) {
	const fault = (cause) => ({ issues: [{ message: String(cause) }] });
	try {
		const result = schema["~standard"].validate(value);
		return "then" in result ? require_request.atMost(CHECK_TIMEOUT_MS, result).catch(fault) : result;
	} catch (cause) {
		return fault(cause);
	}
}
/** Converts issues into the form that the server uses. */
function faultsOf({ issues }) {
	return issues.map(({ message, path = [] }) => ({
		pointer: path.map((part) => "/" + String(typeof part === "object" ? part.key : part).replace(/~/g, "~0").replace(/\//g, "~1")).join(""),
		detail: message
	}));
}
// src/channel.ts
/**
* Defines a topic that carries texts, which are streamed while they are written. All other topics
* carry messages that are published as a whole. A subscription refuses what is not of its topic's kind
* (`onInvalid`).
*
* @example channel({ name: "chat", topics: { answer: text() } })
*/
function text() {
	return { schema: textSchema() };
}
function channel({ name, topics }) {
	if (typeof name === "string") return one(name, name, topics);
	const $template = name(new Proxy({}, { get: (_, key) => `{${String(key)}}` }));
	const named = (params) => {
		const asked = /* @__PURE__ */ new Set();
		const text = name(new Proxy(params, { get: (target, key) => (asked.add(key), target[key]) }));
		for (const key of asked) {
			const value = params[key];
			if (value == null && name({
				...params,
				[key]: String(value)
			}) === text) throw new TypeError(`No channel parameter ${String(key)}`);
		}
		if (Object.values(params).every((value) => value == null || /^[^:*]+$/.test(value))) return one(text, $template, topics);
		throw new TypeError("Bad channel parameter");
	};
	return Object.assign(named, {
		$template,
		$topics: topics
	});
}
/** Returns the name of a channel, or the pattern of a family. */
function nameOf(channel) {
	const loose = channel;
	return loose.$name ?? loose.$template?.replace(/\{.*/, "*") ?? loose.name ?? channel;
}
/** Returns the topics that a channel defines; undefined: only its name is known. */
function topicsOf(channel) {
	return channel.$topics ?? channel.topics;
}
/** Returns the schema of a topic. */
function schemaOf(ref) {
	return "schema" in ref ? ref.schema : ref.config.schema;
}
function one(name, template, topics) {
	if ([name, ...Object.keys(topics)].some((each) => /(^|\/)\.\.?(\/|$)/.test(each))) throw new TypeError("Bad name");
	const refs = {
		$name: name,
		$template: template,
		$topics: topics
	};
	for (const topic in topics) refs[topic] = {
		channel: name,
		topic,
		schema: topics[topic].schema
	};
	return refs;
}
// src/watch.ts
/**
* Calls back when the network returns, and when the user shows or hides the page: moments at which
* a connection may turn out to be dead, or a wait to be pointless. Where there is no page it never does.
*
* @param onChange online: the network has returned, so older connections are surely dead
* @returns what ends the watching
*/
function watchPage(onChange) {
	const notice = ({ type }) => onChange(type === "online");
	const each = (method) => {
		globalThis[method]?.("online", notice);
		globalThis.document?.[method]("visibilitychange", notice);
	};
	each("addEventListener");
	return () => each("removeEventListener");
}
// src/pool.ts
/** How long the members must stay the same before their connections are merged. */
const SETTLE_MS = 1e3;
/** The longest address, in characters. Common proxies refuse a request line of more than 8 KiB. */
const MAX_URL = 4e3;
/** The server's limits: channels of a stream, and patterns among them. */
const MAX_CHANNELS = 256;
const MAX_PATTERNS = 16;
/** The statuses of a request that was too large. A proxy may have lower limits than these. */
const TOO_LARGE = [
	413,
	414,
	431
];
/** The pools of this page that have members. */
const inUse = /* @__PURE__ */ new Map();
/** Returns the pool for a route. Equal routes share one. */
function poolFor(route) {
	for (const [pool, other] of inUse) if (Object.keys(route).every((key) => route[key] === other[key])) return pool;
	advise(route);
	return createPool(route);
}
let advised = false;
/** Tells developers, once, that an inline function is a new one each time, so no connection is shared. Browsers allow six connections to a server. */
function advise(route) {
	try {
		if (process.env.NODE_ENV === "production") return;
		const textOf = ({ url, token }) => String([url, token]);
		const alike = [...inUse.values()].filter((other) => textOf(other) === textOf(route));
		if (advised || typeof route.token !== "function" || alike.length < 2) return;
		advised = true;
		console.warn("Sluice: share the token function to share a connection.");
	} catch {}
}
/**
* Pools subscriptions to one server onto as few connections as possible.
*
* A member that joins gets a connection of its own, because only then can the server replay to it.
* Members that join in the same moment share one if they want the same replay, or resume. Once the
* members have stayed the same for a while, connections are merged into as few as the limits of a
* stream allow. A merged connection starts at the position of the member that is furthest behind, and
* the others are not given again what they have had. This takes positions that can be compared; where
* they cannot, each connection stays.
*
* A request that is refused is made again in two halves, until only the member that is refused by
* itself fails.
*/
function createPool(route) {
	const connections = /* @__PURE__ */ new Set();
	let joining = [];
	let settling;
	let unwatch;
	let shrunk = false;
	let longest = MAX_URL;
	const merged = /* @__PURE__ */ new WeakSet();
	/** Merges the connections once the members stay the same. */
	const settle = () => {
		clearTimeout(settling);
		settling = setTimeout(merge, SETTLE_MS);
	};
	const owner = {
		onOpen: settle,
		onApart(member) {
			pool.remove(member);
			member.alone = true;
			open([member]);
		},
		onEnd(connection, status) {
			const members = [...connection.members];
			if (members.length && (TOO_LARGE.includes(status) || status === 400 && merged.has(connection))) longest = Math.min(longest, lengthOf(members) - 1);
			for (const half of halves(members)) {
				if (!half[1] && half[0]) half[0].alone = true;
				open(half);
			}
			drop(connection);
		}
	};
	/** The server may not be known yet. Its address hardly matters for the length. */
	function lengthOf(members) {
		return require_connection.askFor(members, route.url ?? "http://s").url.href.length;
	}
	/** Reports whether one stream can carry the members. */
	function fits(members) {
		const names = new Set(members.flatMap(({ channels }) => channels));
		const patterns = [...names].filter((name) => name.endsWith("*"));
		return names.size <= MAX_CHANNELS && patterns.length <= MAX_PATTERNS && lengthOf(members) <= longest;
	}
	/** Connects members, over one connection if a stream can carry them all. */
	function open(members, merging = false) {
		if (!members.length) return;
		if (members[1] && !fits(members)) return halves(members).forEach((half) => open(half, merging));
		if (!connections.size) unwatch = watchPage((online) => connections.forEach((each) => each.revive(online)));
		const connection = require_connection.connect(route, new Set(members), owner);
		connections.add(connection);
		if (merging) merged.add(connection);
	}
	function drop(connection) {
		connection.close();
		connections.delete(connection);
		if (connections.size) return;
		unwatch();
		clearTimeout(settling);
		rest();
	}
	function rest() {
		if (!connections.size && !joining.length) inUse.delete(pool);
	}
	/** Merges all connections that can be merged. */
	function merge() {
		const epoch = ({ isRead, members: [first] }) => isRead() && !first.alone && require_connection.epochOf(first.position);
		for (const group of grouped(connections, epoch).values()) {
			let batch = [];
			const mergeBatch = () => {
				const done = batch;
				batch = [];
				if (done.length < 2 && !shrunk) return;
				open(membersOf(done), true);
				done.forEach(drop);
			};
			for (const connection of group) {
				if (batch.length && !fits(membersOf([...batch, connection]))) mergeBatch();
				batch.push(connection);
			}
			mergeBatch();
		}
		shrunk = false;
	}
	const pool = {
		add(member) {
			inUse.set(pool, route);
			if (joining.push(member) > 1) return;
			queueMicrotask(() => {
				const groups = grouped(joining, (each) => each.alone ? each : each.position ? require_connection.epochOf(each.position) ?? each : `replay ${each.replay}`);
				joining = [];
				for (const group of groups.values()) open(group);
			});
		},
		remove(member) {
			joining = joining.filter((each) => each !== member);
			rest();
			for (const connection of connections) {
				if (!connection.members.delete(member)) continue;
				if (!connection.members.size) return drop(connection);
				shrunk = true;
				settle();
			}
		}
	};
	return pool;
}
function membersOf(connections) {
	return connections.flatMap(({ members }) => [...members]);
}
function halves(all) {
	const middle = all.length >> 1;
	return [all.slice(0, middle), all.slice(middle)];
}
/** Groups what has the same key. What has no key is left out. */
function grouped(all, keyOf) {
	const groups = /* @__PURE__ */ new Map();
	for (const each of all) {
		const key = keyOf(each);
		if (key) groups.set(key, [...groups.get(key) ?? [], each]);
	}
	return groups;
}
// src/arrival.ts
/** Returns what has to be handed over because of an event; undefined: nothing. A piece of a text that has begun is only added to it. */
function arrive(event, runs, texts) {
	const { type, value } = event;
	let text;
	try {
		if (type === ":" || type === "$position") return runs.caughtUp();
		if (event.fault) text = void 0;
		else if (type === "$gap") texts.tear(value.channel);
		else if (type === "$run" ? !runs.isNew(value) : !/^(m|.l)/.test(type)) return void 0;
		else if (isPiece(value) && !(text = texts.add(value))) return void 0;
	} catch (fault) {
		event = {
			...event,
			fault
		};
	}
	return {
		event,
		text
	};
}
function isPiece(value) {
	return !!value.stream_id;
}
// src/bell.ts
/** Waits for the next ring. */
function wait(bell) {
	return new Promise((resolve) => void bell.add(resolve));
}
function ring(bell) {
	bell.forEach((resolve) => resolve());
	bell.clear();
}
// src/call.ts
/** Calls a handler of the user. If it throws, or its promise rejects, that is reported like any uncaught error and stops nothing. */
function call(handler, ...args) {
	try {
		const result = handler?.(...args);
		if (result?.then) return Promise.resolve(result).catch(report);
	} catch (error) {
		report(error);
	}
}
function report(error) {
	queueMicrotask(() => {
		throw error;
	});
}
// src/delivery.ts
/**
* @param isOver the snapshot then keeps the error that ended the subscription
*/
function createDelivery(options, store, runs, iteration, isOver) {
	function judge(message, result) {
		return result.issues ? refuse(message, result.issues) : deliver({
			...message,
			data: result.value
		});
	}
	function refuse(message, cause) {
		const error = new require_request.SluiceError("invalid-message", `Invalid message of ${message.topic}`, { cause });
		store.update(isOver() ? {} : { error });
		return call(options.onInvalid, error, message);
	}
	function deliver(message) {
		store.show(message);
		return iteration.offer(message, call(options.onMessage, message), options.onMessage ?? store.listeners.size);
	}
	function hand({ event, text }) {
		if (event.type === "$gap") {
			store.update({ gaps: [...store.get().gaps, event.value].slice(-100) });
			return call(options.onGap, event.value);
		}
		if (event.type === "$live") return runs.caughtUp(), call(options.onLive);
		if (event.fault) return refuse(event.value, event.fault);
		if (event.type === "$run") {
			const run = runs.take(event.value, event.id);
			store.update({ run });
			return call(options.onRun, run, event.value);
		}
		const message = event.value;
		const schema = options.schemaOf(message.channel, event.topic);
		if (text) {
			if (schema && !isText(schema)) return refuse(event.value, "The topic is not text()");
			text.isShown = true;
			return deliver(text.message());
		}
		if (!schema) return deliver(message);
		const result = check(schema, message.data);
		return result instanceof Promise ? result.then((late) => judge(message, late)) : judge(message, result);
	}
	function grow(text, chunk) {
		const message = text.message();
		store.show(message);
		call(options.onChunk, message, chunk);
	}
	return {
		hand,
		grow
	};
}
// src/inbox.ts
/** Events that may wait before nothing more is read. */
const MAX_WAITING = 1024;
/** How long the waiting events may be on the wire, all together, in UTF-16 units. */
const MAX_UNITS = 1 << 20;
/**
* @param hand hands an item over. If it returns a promise, the next item waits for that
* @param taken is called when an item has been taken
* @param emptied is called when the last item has been taken, and by a pump that finds none
*/
function createInbox(hand, taken, emptied) {
	let items = [];
	let units = 0;
	let busy = false;
	return {
		push(item) {
			items.push(item);
			units += item.event.size;
		},
		async pump() {
			if (busy) return;
			busy = true;
			for (let item; item = items[0]; taken(item)) {
				const pending = call(hand, item);
				if (pending) await pending;
				units -= item.event.size;
				items.shift();
			}
			busy = false;
			emptied();
		},
		dropAll() {
			items = [];
			units = 0;
		},
		fullness: () => Math.max(items.length / MAX_WAITING, units / MAX_UNITS)
	};
}
// src/iteration.ts
/** @param ended returns what the subscription ended with, once no message can come any more */
function createIteration(bell, ended, close) {
	let begun = false;
	let offered;
	async function* loop() {
		try {
			while (offered ?? !ended()) if (offered) {
				const { message, taken } = offered;
				offered = void 0;
				yield message;
				taken();
			} else await wait(bell);
			const { error } = ended();
			if (error) throw error;
		} finally {
			close();
		}
		return void 0;
	}
	async function offerAfter(message, handled) {
		await handled;
		await new Promise((taken) => {
			offered = {
				message,
				taken
			};
			ring(bell);
		});
	}
	return {
		offer: (message, handled, taken) => begun || !taken ? offerAfter(message, handled) : handled,
		skip: () => begun || offered?.taken(),
		withdraw() {
			offered = void 0;
		},
		newLoop() {
			begun = true;
			return loop();
		}
	};
}
// src/membership.ts
/**
* Joins a pool.
*
* @param findPool is called on every (re)join
* @param onChange is told what changes in the snapshot
* @param bell rings when it has left the pool: nobody waits for its room any more
* @param rest of a member
*/
function createMembership(findPool, { channels, topics, replay, until, lastEventId: position = null }, onChange, bell, { take, room, onEnd }) {
	const pauses = /* @__PURE__ */ new Set();
	let pool;
	let isOpen = false;
	let isFull = false;
	let over = false;
	const member = {
		channels,
		topics,
		replay,
		until,
		alone: !channels.length || !!until,
		position,
		take(event) {
			take(event);
			if (event.type === "$open") connected(true, null);
		},
		room,
		rest: () => hold(true),
		onLost: (error) => connected(false, error),
		onEnd
	};
	/** Joins the pool or leaves it, as it should be now. */
	function sync(change) {
		const wanted = !over && !isFull && !(pauses.size && member.position);
		if (wanted && !pool) (pool = findPool()).add(member);
		else if (!wanted && pool) {
			pool.remove(member);
			pool = void 0;
			isOpen = false;
			ring(bell);
		}
		const [pauseReason = null] = pauses;
		onChange({
			...!over && {
				status: pauses.size ? "paused" : isOpen ? "open" : "connecting",
				pauseReason
			},
			...change
		});
	}
	function connected(opened, error) {
		isOpen = opened;
		sync({ error });
	}
	function hold(full) {
		if (full === isFull) return;
		isFull = full;
		sync();
	}
	sync();
	return {
		position: () => member.position,
		pause(reason = "") {
			pauses.add(reason);
			sync();
		},
		resume(reason = "") {
			pauses.delete(reason);
			sync();
		},
		hold,
		end(status, error) {
			over = true;
			sync({
				status,
				error,
				pauseReason: null
			});
		},
		isOver: () => over
	};
}
// src/runstate.ts
function createRunState() {
	const latest = /* @__PURE__ */ new Map();
	let end;
	return {
		isNew({ channel, id }) {
			if (require_connection.notAfter(id, latest.get(channel))) return false;
			latest.set(channel, id);
			return true;
		},
		take({ id, run_id, data }, at) {
			const run = {
				run_id,
				...data
			};
			end = run.status === "running" ? void 0 : {
				id,
				caughtUp: id === at
			};
			return run;
		},
		caughtUp() {
			if (end) end.caughtUp = true;
		},
		isOver: (position) => !!end && (end.caughtUp || require_connection.notAfter(end.id, position))
	};
}
// src/store.ts
function createStore(position, onStatus) {
	const listeners = /* @__PURE__ */ new Set();
	let snapshot = {
		status: "connecting",
		pauseReason: null,
		error: null,
		run: { status: "unknown" },
		gaps: [],
		last: null,
		byTopic: {},
		position
	};
	function update(change) {
		const before = snapshot.status;
		snapshot = {
			...snapshot,
			...change
		};
		if (snapshot.status !== before) call(onStatus, snapshot.status, snapshot);
		for (const listener of listeners) call(listener);
	}
	return {
		get: () => snapshot,
		update,
		moveTo(position) {
			snapshot = {
				...snapshot,
				position
			};
		},
		show: (message) => update({
			last: message,
			byTopic: {
				...snapshot.byTopic,
				[message.topic]: message
			}
		}),
		listeners
	};
}
// src/text.ts
/**
* Collects a text. A chunk that has an offset is put where it belongs, so the text is right whatever
* is sent twice, and it is known whether something is missing.
*
* @param first the first piece that was received
* @param wait is fulfilled when something has arrived
*/
function incomingText(first, wait) {
	const readers = /* @__PURE__ */ new Set();
	let text = "";
	let bytes = 0;
	let lossy = false;
	let doubtful = first.kind !== "datastream-start";
	let tears = 0;
	let ended = false;
	let state = "open";
	let last;
	async function* read() {
		const before = tears;
		const reader = { fresh: text };
		readers.add(reader);
		try {
			for (;;) {
				const { fresh } = reader;
				reader.fresh = "";
				if (fresh) yield fresh;
				else if (ended || tears !== before) return;
				else await wait();
			}
		} finally {
			readers.delete(reader);
		}
	}
	/** Returns what is new in a chunk. Without an offset, all of it is. */
	function place(data, offset = bytes) {
		const encoded = new TextEncoder().encode(data);
		const known = bytes - offset;
		lossy ||= known < 0;
		bytes = Math.max(bytes, offset + encoded.length);
		return known > 0 ? new TextDecoder(void 0, { ignoreBOM: true }).decode(encoded.subarray(known)) : data;
	}
	function append(fresh) {
		const whole = text + fresh;
		text = clip(whole);
		lossy ||= text.length < whole.length;
		for (const reader of readers) reader.fresh = clip(reader.fresh + fresh);
		return fresh;
	}
	function take(piece) {
		last = piece;
		if (piece.kind === "datastream-end") {
			ended = true;
			state = piece.data.reason;
		}
		if (piece.kind !== "chunk") return "";
		doubtful &&= piece.offset === void 0;
		return append(place(piece.data, piece.offset));
	}
	take(first);
	return {
		channel: first.channel,
		isShown: false,
		take,
		tear() {
			const before = doubtful;
			doubtful = true;
			tears++;
			return before;
		},
		end: () => ended = true,
		message() {
			const { data: _, offset: __, ...rest } = last;
			return {
				...rest,
				kind: "stream",
				text,
				complete: state === "complete",
				state,
				partial: lossy || doubtful,
				chunks: { [Symbol.asyncIterator]: read }
			};
		}
	};
}
function clip(text) {
	return text.length > 1310720 ? text.slice(-1048576) : text;
}
// src/texts.ts
/**
* @param bell rings when something has arrived
* @param onAwaited is told when a loop begins to wait for more of a text
* @param onGrown is told of a text that was handed over and has changed, and of what was added to it
*/
function createTexts(bell, onAwaited, onGrown) {
	const open = /* @__PURE__ */ new Map();
	let waiting = 0;
	async function waitForMore() {
		if (!waiting++) ring(bell);
		onAwaited();
		await wait(bell);
		waiting--;
	}
	function grown(text, chunk) {
		ring(bell);
		if (text.isShown) onGrown(text, chunk);
	}
	return {
		add(piece) {
			const id = [
				piece.channel,
				piece.topic,
				piece.stream_id
			].join();
			const known = open.get(id);
			let begun;
			if (known && piece.kind !== "datastream-start") grown(known, known.take(piece));
			else {
				known?.end();
				open.set(id, begun = incomingText(piece, waitForMore));
			}
			if (piece.kind === "datastream-end") open.delete(id);
			return begun;
		},
		tear(channel) {
			for (const [id, text] of open) {
				if (!require_connection.matches(channel, text.channel)) continue;
				if (text.tear()) open.delete(id);
				grown(text, "");
			}
		},
		isAwaited: () => waiting > 0,
		end: () => open.forEach((text) => text.end())
	};
}
// src/subscription.ts
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
function createSubscription(findPool, options) {
	const { signal } = options;
	const bell = /* @__PURE__ */ new Set();
	const runs = createRunState();
	const store = createStore(options.lastEventId ?? null, options.onStatus);
	const iteration = createIteration(bell, () => membership.isOver() && !inbox.fullness() ? store.get() : void 0, close);
	const delivery = createDelivery(options, store, runs, iteration, () => membership.isOver());
	const inbox = createInbox(delivery.hand, taken, emptied);
	const texts = createTexts(bell, () => membership.hold(false), delivery.grow);
	const membership = createMembership(findPool, options, store.update, bell, {
		take(event) {
			const item = arrive(event, runs, texts);
			if (item) inbox.push(item);
			if (inbox.fullness() > MOST && !texts.isAwaited()) membership.hold(true);
			inbox.pump();
		},
		room: (scale) => inbox.fullness() >= scale && !texts.isAwaited() ? wait(bell) : void 0,
		onEnd: (error, closed) => end(closed ? "closed" : "error", error.code === 4e3 ? null : error)
	});
	function taken({ event }) {
		store.moveTo(event.id);
		ring(bell);
		if (inbox.fullness() < ROOMY) membership.hold(false);
	}
	function emptied() {
		const position = membership.position();
		if (!membership.isOver()) store.moveTo(position);
		if (options.autoCloseOnTerminal && runs.isOver(position)) close();
	}
	function end(status, error) {
		if (membership.isOver()) return;
		signal?.removeEventListener("abort", close);
		texts.end();
		membership.end(status, error);
		ring(bell);
	}
	function close() {
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
		[Symbol.asyncIterator]: iteration.newLoop
	};
}
// src/events.ts
/** The longest line that is accepted, in UTF-16 units. The server's longest is about 1 Mi. */
const MAX_LINE = 4 << 20;
/**
* Creates a parser for event streams as Sluice writes them: a subset of
* https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
* with line feeds only and an id in every event.
*
* An event does not inherit the id of an earlier one, and counts only once it is complete: an event
* that was cut off must not move the position. Comments are heartbeats and become events of type ":".
*
* @returns a function that takes decoded text in pieces of any size. It throws a {@link SluiceError}
*   of code `too-large` at a line of more than 4 Mi units
*/
function parser(onEvent) {
	let rest = "";
	let event = {
		type: "",
		data: "",
		id: ""
	};
	function takeLine(line) {
		const [, name, value = ""] = /^(\w*): ?(.*)/s.exec(line) ?? [];
		if (name === "data") event.data += value;
		else if (name === "event") event.type = value;
		else if (name === "id") event.id = value;
		else if (name === "") onEvent({
			type: ":",
			data: "{}",
			id: ""
		});
		if (line) return;
		if (event.data) onEvent(event);
		event = {
			type: "",
			data: "",
			id: ""
		};
	}
	return (text) => {
		const lines = text.split("\n");
		lines[0] = rest + lines[0];
		rest = lines.pop();
		lines.forEach(takeLine);
		if (rest.length > MAX_LINE) throw new require_request.SluiceError("too-large", "Line too large");
	};
}
// src/transport.ts
/** Reads the stream with `fetch`: the token is in a header, and the status is known. */
async function overFetch({ url, token, position, signal, fetch, onEvent, onSign, untilRoom }) {
	if (!fetch && globalThis.Response && !("body" in Response.prototype)) throw require_request.unsupported("Response.body");
	if (!globalThis.TextDecoder) throw require_request.unsupported("TextDecoder");
	const headers = {
		Accept: "text/event-stream",
		...require_request.authorization(token),
		...position && { "Last-Event-ID": position }
	};
	const response = await require_request.send(fetch, url, {
		headers,
		signal
	}, position);
	if (response.status === 204) return onEvent({
		type: "$close",
		data: `{"code":${require_connection.RUN_ENDED},"reconnect":false}`,
		id: ""
	});
	if (!response.ok) throw await require_request.problemOf(response, url);
	if (!response.headers.get("content-type")?.startsWith("text/event-stream")) throw new require_request.SluiceError("network", require_request.absent(url));
	if (!response.body?.getReader) throw response.body === null ? require_request.lost() : require_request.unsupported("Response.body");
	const feed = parser(onEvent);
	const decoder = new TextDecoder();
	const reader = response.body.getReader();
	for (;;) {
		await untilRoom();
		if (signal.aborted) return;
		const { done, value } = await reader.read().catch((cause) => {
			throw require_request.lost(cause);
		});
		if (done) return;
		onSign();
		feed(decoder.decode(value, { stream: true }));
	}
}
/** The events that are not messages. */
const CONTROL = [
	"$open",
	"$run",
	"$gap",
	"$live",
	"$position",
	"$close"
];
/**
* Reads the stream with the browser's `EventSource`, where `fetch` cannot stream. The token is in the
* address, a refusal looks like any other failure, heartbeats are invisible, and the browser keeps
* reading whether there is room or not.
*/
async function overEventSource({ url, token, position, topics, signal, onEvent, onSign }) {
	if (!globalThis.EventSource) throw require_request.unsupported("EventSource");
	if (token) url.searchParams.set("access_token", token);
	url.searchParams.delete("until");
	if (position) url.searchParams.set("last_event_id", position);
	const source = new EventSource(url);
	for (const type of /* @__PURE__ */ new Set([...CONTROL, ...topics])) source.addEventListener(type, ({ data, lastEventId: id }) => {
		position = id;
		onSign();
		onEvent({
			type,
			data,
			id
		});
	});
	return new Promise((resolve, reject) => {
		signal.addEventListener("abort", () => resolve());
		source.onerror = () => reject(require_request.lost(void 0, !position && url));
	}).finally(() => source.close());
}
// src/subscribe.ts
/**
* Subscribes to channels. The subscription reconnects and resumes by itself until it is closed or
* refused.
*
* @throws TypeError for options that contradict each other
*/
function subscribe(options) {
	const { channel, channels = channel === void 0 ? [] : [channel], topics, validate = true } = options;
	if (options.eventSource && !topics) throw new TypeError("eventSource needs topics");
	const known = channels.map((each) => [nameOf(each), topicsOf(each)]);
	const single = !known[1] && !known[0]?.[0].endsWith("*");
	if (options.until && !single) throw new TypeError("until needs one channel");
	const route = routeOf(options);
	const findPool = () => {
		const pool = poolFor(route);
		return !options.until && options.shareTabs?.(pool, route) || pool;
	};
	return createSubscription(findPool, {
		...options,
		channels: known.map(([name]) => name),
		topics,
		replay: options.replay ?? "none",
		autoCloseOnTerminal: (options.autoCloseOnTerminal || !!options.until) && single,
		schemaOf: (name, topic) => known.find(([own, topics]) => validate && topics?.[topic] && require_connection.matches(own, name))?.[1][topic].schema
	});
}
function routeOf(options) {
	const { url, token, tokenTimeoutMs, fetch, reconnect = true, reconnectMinMs = 250, reconnectMaxMs = 5e3, heartbeatMs, eventSource, parse = JSON.parse } = options;
	return {
		url,
		token,
		tokenTimeoutMs,
		fetch,
		parse,
		transport: eventSource ? overEventSource : overFetch,
		reconnect,
		reconnectMinMs,
		reconnectMaxMs,
		silenceMs: eventSource ? 0 : heartbeatMs && heartbeatMs * 2.5
	};
}
Object.defineProperty(exports, "call", {
	enumerable: true,
	get: function() {
		return call;
	}
});
Object.defineProperty(exports, "channel", {
	enumerable: true,
	get: function() {
		return channel;
	}
});
Object.defineProperty(exports, "check", {
	enumerable: true,
	get: function() {
		return check;
	}
});
Object.defineProperty(exports, "faultsOf", {
	enumerable: true,
	get: function() {
		return faultsOf;
	}
});
Object.defineProperty(exports, "isText", {
	enumerable: true,
	get: function() {
		return isText;
	}
});
Object.defineProperty(exports, "nameOf", {
	enumerable: true,
	get: function() {
		return nameOf;
	}
});
Object.defineProperty(exports, "routeOf", {
	enumerable: true,
	get: function() {
		return routeOf;
	}
});
Object.defineProperty(exports, "schemaOf", {
	enumerable: true,
	get: function() {
		return schemaOf;
	}
});
Object.defineProperty(exports, "staticSchema", {
	enumerable: true,
	get: function() {
		return staticSchema;
	}
});
Object.defineProperty(exports, "subscribe", {
	enumerable: true,
	get: function() {
		return subscribe;
	}
});
Object.defineProperty(exports, "text", {
	enumerable: true,
	get: function() {
		return text;
	}
});
Object.defineProperty(exports, "topicsOf", {
	enumerable: true,
	get: function() {
		return topicsOf;
	}
});
Object.defineProperty(exports, "watchPage", {
	enumerable: true,
	get: function() {
		return watchPage;
	}
});
