import { n as epochOf, t as covered } from "./shared-position.js";
import { a as passing, i as lost, n as credential, o as problemOf, r as endpoint, s as send, t as authorization } from "./shared-request.js";
import { t as SluiceError } from "./shared-error.js";
// src/schema.ts
/**
* A schema for a type that nothing checks at run time.
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
/** Checks a value. What a validator throws is an issue like any other. */
function check(schema, value) {
	const fault = (cause) => ({ issues: [{ message: String(cause) }] });
	try {
		const result = schema["~standard"].validate(value);
		return result instanceof Promise ? result.catch(fault) : result;
	} catch (cause) {
		return fault(cause);
	}
}
/** Tells what is wrong, as the server would. */
function faultsOf({ issues }) {
	return issues.map(({ message, path = [] }) => ({
		pointer: path.map((part) => "/" + String(typeof part === "object" ? part.key : part).replace(/~/g, "~0").replace(/\//g, "~1")).join(""),
		detail: message
	}));
}
// src/ask.ts
/**
* Asks for what all members want together, from the position of the one that is furthest behind.
* Topics hold for all channels of a stream, so with different ones all that are granted are asked
* for, and each member picks its own.
*/
function askFor(members, server) {
	const url = endpoint(server, "/v1/subscribe");
	const [{ replay, topics: wanted }] = members;
	const topics = members.flatMap((member) => member.topics ?? []);
	const position = members.map((member) => member.position).reduce((a, b) => a && b && covered(b, a) ? b : a);
	const add = (name, values) => new Set(values).forEach((value) => url.searchParams.append(name, String(value)));
	add("channel", members.flatMap((member) => member.channels));
	if (members.every((member) => `${member.topics}` === `${wanted}`)) add("topic", topics);
	if (!position && replay !== "none") add("replay", [replay]);
	return {
		url,
		position,
		topics
	};
}
// src/backoff.ts
/** The longest that is waited because a server asks for it. */
const MAX_ASKED_MS = 3e5;
/**
* How long to wait before the next attempt: what the server asks for, since servers spread that;
* otherwise anything up to a bound that doubles with each failure in a row ("full jitter"), so that
* all who lost a server do not come back in one moment.
*
* @param failures in a row, before this one
*/
function backoff(failures, minMs, maxMs, askedMs) {
	return askedMs ? Math.min(askedMs, MAX_ASKED_MS) : Math.random() * Math.min(maxMs, minMs * 2 ** failures);
}
// src/member.ts
/** Whether a member wants an event. */
function concerns({ channels, topics }, type, { channel }) {
	if (topics && type[0] !== "$" && !topics.includes(type)) return false;
	return !channels.length || channels.some((own) => matches(own, channel) || matches(channel, own));
}
/** Whether a name or pattern stands for a channel. */
function matches(pattern, name) {
	return pattern === name || pattern.endsWith("*") && name.startsWith(pattern.slice(0, -1));
}
// src/connection.ts
/** Aborts an attempt so that the next one begins at once. */
const RESTART = 0;
/**
* @param members all without a position and with the same replay, or all at positions that can be
*   compared
*/
function connect(route, members, owner) {
	const { token, reconnect, silenceMs, parse } = route;
	let closed = false;
	let attempt;
	let wake;
	let watch;
	let lastSign = 0;
	let start;
	let openedAt;
	let bye;
	const connection = {
		members,
		isOpen: () => openedAt > 0,
		close() {
			closed = true;
			connection.revive(true);
		},
		revive(surely) {
			if (surely || silenceMs && Date.now() - lastSign > silenceMs) attempt.abort(RESTART);
			wake?.();
		}
	};
	async function run() {
		let failures = 0;
		let renewed = false;
		while (!closed && members.size) {
			const error = await once();
			if (openedAt) {
				renewed = false;
				if (bye || Date.now() - openedAt >= route.reconnectMaxMs) failures = 0;
			}
			openedAt = 0;
			if (closed || attempt.signal.reason === RESTART) continue;
			const why = error ?? new SluiceError(bye?.code ?? "network", `Stream ended: ${bye?.reason ?? "early"}`);
			if (why.status === 401 && typeof token === "function" && !renewed) renewed = true;
			else if (!reconnect || error && !passing(error) || bye?.reconnect === false) over(why);
			else {
				for (const member of members) member.lost(why);
				const ms = backoff(failures++, route.reconnectMinMs, route.reconnectMaxMs, bye?.retry_after_ms ?? why.retryAfterMs);
				await new Promise((resolve) => {
					const timer = setTimeout(resolve, ms);
					wake = () => resolve(clearTimeout(timer));
				});
			}
		}
	}
	/** Makes one connection and reads it to its end. */
	async function once() {
		attempt = new AbortController();
		const { signal } = attempt;
		openedAt = 0;
		bye = void 0;
		try {
			const key = await credential(token);
			if (signal.aborted) return null;
			onSign();
			await route.transport({
				...route,
				...askFor([...members], route.url),
				token: key,
				signal,
				onSign,
				onEvent
			});
		} catch (cause) {
			if (!bye) return cause instanceof SluiceError ? cause : lost(cause);
		} finally {
			clearTimeout(watch);
			attempt.abort();
		}
		return null;
	}
	function onSign() {
		const { signal } = attempt;
		lastSign = Date.now();
		clearTimeout(watch);
		if (silenceMs && !signal.aborted) watch = setTimeout(() => attempt.abort(), silenceMs);
	}
	function onEvent({ type, data, id }) {
		if (attempt.signal.aborted) return;
		const value = parse(data);
		if (type === "$close") {
			bye = value;
			return attempt.abort();
		}
		if (type === "$open") {
			openedAt = Date.now();
			start = id;
			owner.opened();
		}
		for (const member of members) {
			const { position } = member;
			const ahead = position && covered(id, position);
			const had = type === "$gap" ? position && position !== start && covered(value.resumes_at ?? "", position) : ahead && type !== "$run";
			if (id && !ahead) member.position = id;
			if (!value.channel || !had && concerns(member, type, value)) member.take(type, value, ahead ? position : id);
		}
	}
	/** Ends it for good for those whom the end concerns. */
	function over(error) {
		const together = members.size > 1;
		if (together && error.status && error.status !== 401) closed = true;
		for (const member of closed ? [] : [...members]) {
			if (together && bye?.channel && !member.channels.includes(bye.channel)) continue;
			members.delete(member);
			member.failed(error, !!bye);
		}
		if (closed || !members.size) owner.ended(connection);
	}
	run();
	return connection;
}
// src/hub.ts
/** How long the members must have been the same before they are brought together. */
const SETTLE_MS = 1e3;
/** The longest address, in characters: a common proxy refuses a request line of more than 8 KiB. */
const MAX_URL = 4e3;
/** The sources of this page that have connections. */
const inUse = /* @__PURE__ */ new Map();
/** The source that leads this way. */
function hubFor(route) {
	for (const [hub, other] of inUse) if (Object.keys(route).every((key) => route[key] === other[key])) return hub;
	return createHub(route);
}
/**
* The connections that lead one way: as few as it can be done with without losing a message.
*
* A member that joins comes on a connection of its own (shared with those that join in the same
* moment and want the same replay, or go on from somewhere), since only so the server can replay to it. When things have
* settled the connections are joined into one, which begins at the position of the member that is
* furthest behind; what the others have had is kept from them. So this works only for positions
* that can be compared, and where that is not so each connection stays.
*/
function createHub(route) {
	const connections = /* @__PURE__ */ new Set();
	let joining = [];
	let settling;
	let shrunk = false;
	const revive = ({ type }) => connections.forEach((connection) => connection.revive(type === "online"));
	const listen = (method) => {
		globalThis[method]?.("online", revive);
		globalThis.document?.[method]("visibilitychange", revive);
	};
	const settle = () => {
		clearTimeout(settling);
		settling = setTimeout(join, SETTLE_MS);
	};
	const owner = {
		opened: settle,
		ended(connection) {
			drop(connection);
			for (const member of connection.members) {
				member.alone = true;
				open([member]);
			}
		}
	};
	function open(members) {
		if (!connections.size) listen("addEventListener");
		connections.add(connect(route, new Set(members), owner));
	}
	function drop(connection) {
		connection.close();
		connections.delete(connection);
		if (connections.size) return;
		listen("removeEventListener");
		clearTimeout(settling);
		rest();
	}
	function rest() {
		if (!connections.size && !joining.length) inUse.delete(hub);
	}
	/** Makes one connection of all that can be joined. */
	function join() {
		const epoch = ({ isOpen, members: [first] }) => isOpen() && !first.alone && epochOf(first.position) || void 0;
		for (const group of grouped(connections, epoch).values()) {
			const members = group.flatMap((connection) => [...connection.members]);
			if (group.length < 2 && !shrunk || askFor(members, route.url).url.href.length > MAX_URL) continue;
			open(members);
			group.forEach(drop);
		}
		shrunk = false;
	}
	const hub = {
		add(member) {
			inUse.set(hub, route);
			if (joining.push(member) > 1) return;
			queueMicrotask(() => {
				const groups = grouped(joining, (each) => each.alone ? each : each.position ? epochOf(each.position) ?? each : `replay ${each.replay}`);
				joining = [];
				groups.forEach(open);
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
	return hub;
}
/** Puts together what has the same key; what has none stays out. */
function grouped(all, keyOf) {
	const groups = /* @__PURE__ */ new Map();
	for (const each of all) {
		const key = keyOf(each);
		if (key !== void 0) groups.set(key, [...groups.get(key) ?? [], each]);
	}
	return groups;
}
// src/call.ts
/** Calls what is not ours. What it throws, or its promise, is reported like any uncaught error and stops nothing. */
function call(handler, ...args) {
	try {
		const result = handler?.(...args);
		if (result instanceof Promise) return result.catch(report);
	} catch (error) {
		report(error);
	}
}
function report(error) {
	queueMicrotask(() => {
		throw error;
	});
}
// src/text.ts
/**
* @param first the first piece that was received
* @param wait is fulfilled when something has arrived
*/
function incomingText(first, wait) {
	let text = "";
	let dropped = 0;
	let missing = +(first.kind !== "datastream-start");
	let ended = false;
	let state = "open";
	let last;
	async function* read() {
		const before = missing;
		let at = 0;
		for (;;) {
			const fresh = text.slice(Math.max(0, at - dropped));
			at = dropped + text.length;
			if (fresh) yield fresh;
			else if (ended || missing !== before) return;
			else await wait();
		}
	}
	function take(piece) {
		last = piece;
		if (piece.kind === "datastream-end") {
			ended = true;
			state = piece.data.reason === "complete" ? "complete" : "aborted";
		}
		if (piece.kind !== "chunk") return "";
		const data = piece.data;
		dropped += text.length + data.length;
		text = (text + data).slice(-1048576);
		dropped -= text.length;
		return data;
	}
	take(first);
	return {
		take,
		tear() {
			missing++;
			return "";
		},
		end: () => ended = true,
		message() {
			const { data: _, ...rest } = last;
			return {
				...rest,
				kind: "stream",
				text,
				state,
				partial: missing > 0,
				chunks: { [Symbol.asyncIterator]: read }
			};
		}
	};
}
// src/subscription.ts
/** Messages that may wait to be taken before the connection is left. */
const MAX_WAITING = 1024;
/** The kind of the last piece of a text. */
const END = "datastream-end";
/** @param sourceOf finds the source; it is asked at each joining, so that what leads one way comes together again */
function createSubscription(sourceOf, options) {
	const { channels, topics, replay, lastEventId: position = null } = options;
	const listeners = /* @__PURE__ */ new Set();
	const pauses = /* @__PURE__ */ new Set();
	const texts = /* @__PURE__ */ new Map();
	const runs = /* @__PURE__ */ new Map();
	const awaited = /* @__PURE__ */ new Set();
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
	let alive = true;
	let source;
	let opened = false;
	let tooMuch = false;
	let reading = 0;
	let terminal;
	let inbox = [];
	let busy = false;
	let iterated = false;
	let offer;
	const member = {
		channels,
		topics,
		replay,
		alone: !channels.length,
		position,
		take,
		lost(error) {
			opened = false;
			update({ error });
		},
		failed: (error, closed) => end(closed ? "closed" : "error", error)
	};
	/** Joins the connection or leaves it, as it should be now. */
	function sync() {
		const paused = pauses.size > 0 && member.position !== null;
		const wanted = alive && !paused && !tooMuch;
		if (paused) opened = false;
		if (wanted && !source) (source = sourceOf()).add(member);
		else if (!wanted && source) {
			source.remove(member);
			source = void 0;
		}
		update({});
	}
	function end(status, error) {
		if (!alive) return;
		alive = false;
		sync();
		texts.forEach((text) => text.end());
		update({
			status,
			error,
			pauseReason: null
		});
		ring();
	}
	function close() {
		inbox = [];
		offer = void 0;
		end("closed", null);
	}
	function update(change) {
		const before = snapshot.status;
		const [pauseReason = null] = pauses;
		const status = pauseReason !== null ? "paused" : opened ? "open" : "connecting";
		snapshot = {
			...snapshot,
			...alive && {
				status,
				pauseReason
			},
			...change
		};
		if (snapshot.status !== before) call(options.onStatus, snapshot.status, snapshot);
		for (const listener of listeners) call(listener);
	}
	/** Everything up to there has been handed over. Nobody shows that, so nobody is told. */
	function moveTo(position) {
		snapshot = {
			...snapshot,
			position
		};
	}
	function take(type, value, id) {
		const { channel } = value;
		if (type === "$open") {
			opened = true;
			if (!inbox.length) moveTo(member.position);
			update({ error: null });
			sync();
		} else if (channel) push(type, value, id);
		else if (terminal && [":", "$position"].includes(type)) terminal.caughtUp = true;
		pump();
	}
	function push(type, value, id) {
		const { channel, stream_id } = value;
		if (type === "$run") {
			if (covered(value.id, runs.get(channel) ?? "")) return;
			runs.set(channel, value.id);
		} else if (type === "$gap") tear(channel);
		else if (type[0] === "$" || grow(value)) return;
		const text = stream_id ? incomingText(value, waitForText) : void 0;
		if (text && value.kind !== END) texts.set(stream_id, text);
		inbox.push({
			type,
			value,
			id,
			text
		});
		if (inbox.length > MAX_WAITING && !reading) hold(true);
	}
	/** Leaves the connection while too much waits. */
	function hold(now) {
		if (now === tooMuch) return;
		tooMuch = now;
		sync();
	}
	function wait() {
		return new Promise((resolve) => void awaited.add(resolve));
	}
	/** Who waits for more of a text may be the one for whom the rest waits, so that must not hold it up. */
	async function waitForText() {
		reading++;
		hold(false);
		await wait();
		reading--;
	}
	/** Adds to a text that has begun. Tells whether it has. */
	function grow(piece) {
		const text = texts.get(piece.stream_id);
		if (text) grown(text, text.take(piece));
		if (piece.kind === END) texts.delete(piece.stream_id);
		return !!text;
	}
	/** Tells what a gap took. A text that lacks something already may have lost its end then: what comes of it yet begins anew. */
	function tear(channel) {
		for (const [name, text] of texts) {
			const before = text.message();
			if (!matches(channel, before.channel)) continue;
			if (before.partial) texts.delete(name);
			grown(text, text.tear());
		}
	}
	function grown(text, chunk) {
		ring();
		if (inbox.slice(+busy).some((item) => item.text === text)) return;
		const message = text.message();
		show(message);
		call(options.onChunk, message, chunk);
	}
	function ring() {
		awaited.forEach((resolve) => resolve());
		awaited.clear();
	}
	/** Hands over what waits, one after the other. */
	async function pump() {
		if (busy) return;
		busy = true;
		for (let item; item = inbox[0]; inbox.shift()) {
			const taken = call(hand, item);
			if (taken) await taken;
			moveTo(item.id);
		}
		busy = false;
		if (alive) moveTo(member.position);
		ring();
		if (terminal && (terminal.caughtUp || covered(terminal.id, member.position ?? "")) && options.autoCloseOnTerminal) close();
	}
	/** Hands one item over. A promise is fulfilled once it has been taken. */
	function hand({ type, value, id, text }) {
		if (inbox.length < MAX_WAITING / 4) hold(false);
		if (type === "$gap") {
			const gap = value;
			update({ gaps: [...snapshot.gaps, gap].slice(-100) });
			return call(options.onGap, gap);
		}
		if (type === "$run") {
			const run = {
				run_id: value.run_id,
				...value.data
			};
			terminal = run.status === "running" ? void 0 : {
				id: value.id,
				caughtUp: value.id === id
			};
			update({ run });
			return call(options.onRun, run, value);
		}
		if (text) return deliver(text.message());
		const schema = options.schemaOf(value.channel, type);
		if (!schema) return deliver(value);
		const result = check(schema, value.data);
		return result instanceof Promise ? result.then((late) => judge(value, late)) : judge(value, result);
	}
	function judge(message, result) {
		if (!result.issues) return deliver({
			...message,
			data: result.value
		});
		const error = new SluiceError("invalid-message", `Invalid message of ${message.topic}`, { cause: result.issues });
		update(alive ? { error } : {});
		return call(options.onInvalid, error, message);
	}
	function deliver(message) {
		show(message);
		const handled = call(options.onMessage, message);
		return iterated || !(options.onMessage ?? listeners.size) ? offerAfter(handled, message) : handled;
	}
	/** Lets the iteration have a message. */
	async function offerAfter(handled, message) {
		await handled;
		await new Promise((taken) => {
			offer = {
				message,
				taken
			};
			ring();
		});
	}
	function show(message) {
		update({
			last: message,
			byTopic: {
				...snapshot.byTopic,
				[message.topic]: message
			}
		});
	}
	async function* iterate() {
		try {
			while (offer ?? (alive || inbox.length)) if (offer) {
				const { message, taken } = offer;
				offer = void 0;
				yield message;
				taken();
			} else await wait();
			if (snapshot.error) throw snapshot.error;
		} finally {
			close();
		}
		return void 0;
	}
	sync();
	return {
		getSnapshot: () => snapshot,
		subscribe(listener) {
			listeners.add(listener);
			if (!iterated) offer?.taken();
			return () => void listeners.delete(listener);
		},
		pause(reason = "") {
			pauses.add(reason);
			sync();
		},
		resume(reason = "") {
			pauses.delete(reason);
			sync();
		},
		close,
		[Symbol.asyncIterator]() {
			iterated = true;
			return iterate();
		}
	};
}
// src/events.ts
/** The longest line that is read, in UTF-16 units. A server's longest is about 1 Mi. */
const MAX_LINE = 4 << 20;
/**
* Makes a parser of the event stream as Sluice writes it: a subset of
* https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
* with line feeds only and an id in every event.
*
* An event has no id but its own, and counts once it has arrived whole: the position must not move
* by what was cut off. Comments, which are heartbeats, come as events of type ":".
*
* @returns what to feed decoded text to, in pieces of any size; it throws a {@link SluiceError} of
*   code `too-large` at a line of more than 4 Mi units
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
		const lines = (rest + text).split("\n");
		rest = lines.pop();
		lines.forEach(takeLine);
		if (rest.length > MAX_LINE) throw new SluiceError("too-large", "Line too long");
	};
}
// src/transport.ts
/** Reads the stream with `fetch`: the token goes into a header and the status is seen. */
async function overFetch({ url, token, position, signal, fetch, onEvent, onSign }) {
	const headers = {
		Accept: "text/event-stream",
		...authorization(token),
		...position && { "Last-Event-ID": position }
	};
	const response = await send(fetch, url, {
		headers,
		signal
	});
	if (response.status !== 200) throw await problemOf(response);
	if (!response.headers.get("content-type")?.startsWith("text/event-stream")) throw lost();
	const feed = parser(onEvent);
	const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
	for (let read; !signal.aborted && !(read = await reader.read()).done;) {
		onSign();
		feed(read.value);
	}
}
/** Events that Sluice sends of itself. */
const CONTROL = [
	"$open",
	"$run",
	"$gap",
	"$position",
	"$close"
];
/**
* Reads the stream with the browser's `EventSource`, for where `fetch` does not stream. The token
* is seen in the address, a refusal looks like any other fault, and heartbeats are not seen.
*/
function overEventSource({ url, token, position, topics, signal, onEvent, onSign }) {
	if (token) url.searchParams.set("access_token", token);
	if (position) url.searchParams.set("last_event_id", position);
	const source = new EventSource(url);
	for (const type of /* @__PURE__ */ new Set([...CONTROL, ...topics])) source.addEventListener(type, ({ data, lastEventId: id }) => {
		onSign();
		onEvent({
			type,
			data,
			id
		});
	});
	return new Promise((resolve, reject) => {
		signal.addEventListener("abort", () => resolve());
		source.onerror = () => reject(lost());
	}).finally(() => source.close());
}
// src/subscribe.ts
/**
* Subscribes to channels. The subscription connects by itself, again and again, and resumes where
* it was, until it is closed or refused.
*
* @throws TypeError for options that make no sense together
*/
function subscribe(options) {
	const { channel, channels = channel === void 0 ? [] : [channel], topics, validate = true, signal } = options;
	if (options.eventSource && !topics) throw new TypeError("eventSource needs topics");
	const known = channels.map((each) => [nameOf(each), each]);
	const route = routeOf(options);
	const sourceOf = () => {
		const hub = hubFor(route);
		return options.shareTabs?.(hub, route) ?? hub;
	};
	const subscription = createSubscription(sourceOf, {
		...options,
		channels: known.map(([name]) => name),
		topics,
		replay: options.replay ?? "none",
		autoCloseOnTerminal: options.autoCloseOnTerminal && !known[1] && !known[0]?.[0].endsWith("*"),
		schemaOf: (name, topic) => known.find(([own, { $topics }]) => validate && $topics?.[topic] && matches(own, name))?.[1].$topics[topic].schema
	});
	if (signal?.aborted) subscription.close();
	signal?.addEventListener("abort", subscription.close, { once: true });
	return subscription;
}
/** A family is asked for by the pattern of its names. */
function nameOf(channel) {
	return channel.$name ?? channel.$template?.replace(/\{.*/, "*") ?? channel;
}
function routeOf(options) {
	const { url, token, fetch, reconnect = true, reconnectMinMs = 250, reconnectMaxMs = 5e3, heartbeatMs = 15e3, eventSource, parse = JSON.parse } = options;
	return {
		url,
		token,
		fetch,
		parse,
		transport: eventSource ? overEventSource : overFetch,
		reconnect,
		reconnectMinMs,
		reconnectMaxMs,
		silenceMs: eventSource ? 0 : heartbeatMs * 2.5
	};
}
export { staticSchema as a, faultsOf as i, backoff as n, check as r, subscribe as t };
