import { d as SluiceError, f as after, i as endpoint, l as transient, o as lost, r as credential } from "./shared-request.js";
// src/backoff.ts
/** The longest wait that a server may ask for. */
const MAX_ASKED_MS = 3e5;
/**
* Returns how long to wait before the next attempt. Servers spread the waits that they ask for, so
* those are taken as they are. Otherwise the wait is random, up to a bound that doubles with each
* failure in a row ("full jitter"), so that the clients of a server that died do not all return at once.
*
* @param failures in a row, without the latest
*/
function backoff(failures, minMs, maxMs, askedMs) {
	return askedMs ? Math.min(askedMs, MAX_ASKED_MS) : Math.random() * Math.min(maxMs, minMs * 2 ** failures);
}
// src/position.ts
/**
* Returns the epoch of a position: one life of the server's log. Positions of one epoch can be
* compared. Positions of other forms have none and cannot be compared.
*/
function epochOf(position) {
	return /^(\w+)-\d+$/.exec(position)?.[1];
}
/** Reports whether a is certain not to lie after b. */
function notAfter(a, b) {
	const epoch = epochOf(a);
	return a === b || !!epoch && epoch === epochOf(b) && +a.slice(epoch.length) >= +b.slice(epoch.length);
}
// src/ask.ts
/**
* Combines what the members want into one request, from the position of the member that is furthest
* behind. Topics apply to all channels of a stream. So if the members differ in theirs, the request
* names no topics, and each member picks its own from all that are granted.
*/
function askFor(members, server) {
	const url = endpoint(server, "/v1/subscribe");
	const [{ replay, until, topics: wanted }] = members;
	const topics = members.flatMap((member) => member.topics ?? []);
	const position = members.map((member) => member.position).reduce((a, b) => notAfter(b, a) ? b : a);
	const add = (name, values) => new Set(values).forEach((value) => url.searchParams.append(name, String(value)));
	add("channel", members.flatMap((member) => member.channels));
	if (members.every((member) => `${member.topics}` === `${wanted}`)) add("topic", topics);
	if (!position && replay !== "none") add("replay", [replay]);
	if (until) add("until", [until]);
	return {
		url,
		position,
		topics
	};
}
// src/decode.ts
/** The code of a stream that was to end with its run. */
const RUN_ENDED = 4e3;
/**
* Decodes an event. If parse() cannot read a message, the event has a fault: later messages must
* not wait for one that never becomes readable.
*
* @throws SluiceError `network` for a control event that is not JSON: Sluice did not send it
*/
function decode({ type, data, id }, parse) {
	const isControl = /^[:$]/.test(type);
	const published = !isControl || type === "$run";
	let value;
	let fault;
	try {
		value = (published ? parse : JSON.parse)(data);
		if (published && typeof value.channel !== "string") throw new TypeError("parse() returned no message");
	} catch (cause) {
		if (!published) throw lost(cause);
		fault = cause;
		value = {
			id,
			topic: type,
			kind: "data",
			data,
			...readable(data)
		};
	}
	return {
		type: isControl ? type : "message",
		topic: type,
		id,
		size: data.length,
		value,
		fault
	};
}
function readable(json) {
	try {
		return JSON.parse(json);
	} catch {
		return;
	}
}
// src/poolmember.ts
/** Reports whether a member wants an event. The channel of an unreadable event may be unknown. */
function concerns({ channels, topics }, { type, topic, value: { channel } }) {
	if (topics && type === "message" && !topics.includes(topic)) return false;
	return !channel || !channels.length || channels.some((own) => matches(own, channel) || matches(channel, own));
}
/** Reports whether a name or pattern stands for a channel. */
function matches(pattern, name) {
	return pattern === name || pattern.endsWith("*") && name.startsWith(pattern.slice(0, -1));
}
// src/connection.ts
/** How many heartbeat intervals a connection may be silent. */
const SILENT_BEATS = 2.5;
/** The allowed silence until the server has announced its heartbeat interval. */
const SILENCE_MS = 15e3 * SILENT_BEATS;
/** How long reading may pause before the connection is given up: as long as the server would wait. */
const STALL_MS = 1e4;
/** Aborts an attempt so that the next one begins at once. */
const RESTART = 0;
/**
* @param members either all without a position and with the same replay, or all at positions that
*   can be compared
*/
function connect(route, members, owner) {
	const { token, reconnect } = route;
	let closed = false;
	let attempt;
	let wake;
	let unwatch;
	let silenceMs;
	let lastSign = 0;
	let held = false;
	let start;
	let openedAt;
	let failures = 0;
	let bye;
	const connection = {
		members,
		isRead: () => openedAt > 0 && !held,
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
			else if (!reconnect || error && !transient(error) || bye?.reconnect === false) over(why);
			else {
				for (const member of members) member.onLost(why);
				const ms = backoff(failures++, route.reconnectMinMs, route.reconnectMaxMs, bye?.retry_after_ms ?? why.retryAfterMs);
				await new Promise((resolve) => {
					const stop = after(ms, resolve);
					wake = () => resolve(stop());
				});
			}
		}
	}
	/** Makes one connection and reads it to its end. User code may ignore the signal, so an abort does not wait for it. */
	async function once() {
		attempt = new AbortController();
		const { signal } = attempt;
		openedAt = 0;
		held = false;
		bye = void 0;
		silenceMs = route.silenceMs ?? 37500;
		const aborted = new Promise((_, reject) => signal.addEventListener("abort", () => reject(lost())));
		try {
			await Promise.race([serve(signal), aborted]);
		} catch (cause) {
			if (!bye) return cause instanceof SluiceError ? cause : new SluiceError("unexpected", String(cause), { cause });
		} finally {
			unwatch?.();
			attempt.abort();
		}
		return null;
	}
	async function serve(signal) {
		const held = await credential(token, route.tokenTimeoutMs);
		if (signal.aborted) return;
		onSign();
		await route.transport({
			...route,
			...askFor([...members], route.url ?? held.url),
			token: held.token,
			signal,
			onSign: () => signal.aborted || onSign(),
			onEvent: (event) => signal.aborted || onEvent(event),
			untilRoom: () => untilRoom(signal)
		});
	}
	function onSign() {
		lastSign = Date.now();
		unwatch?.();
		if (silenceMs) unwatch = after(silenceMs, () => attempt.abort());
	}
	/**
	* Waits while no member has room. The server and the network then buffer the messages: they can
	* hold more, and most of it would be lost without the connection. If only some members have no
	* room, the others do not wait for them.
	*/
	async function untilRoom(signal) {
		let full;
		const allFull = () => (full = [...members].filter((member) => !!member.room(1))).length === members.size;
		while (!signal.aborted && members.size && allFull()) {
			held = true;
			lastSign = Infinity;
			unwatch?.();
			await new Promise((resolve) => {
				const stop = after(STALL_MS, () => full.forEach((member) => signal.aborted || member.rest()));
				Promise.race(full.map(async (member) => member.room(1))).then(() => resolve(stop()));
			});
		}
		if (signal.aborted) return;
		for (const member of members) if (members.size > 1 && member.room(16)) owner.onApart(member);
		if (!held) return;
		held = false;
		owner.onOpen();
		onSign();
	}
	function onEvent(wire) {
		const event = decode(wire, route.parse);
		const { id, value } = event;
		if (event.type === "$close") {
			bye = event.value;
			return attempt.abort();
		}
		if (event.type === "$open") {
			openedAt = Date.now();
			start = id;
			if (route.silenceMs === void 0 && event.value.heartbeat_ms) silenceMs = event.value.heartbeat_ms * SILENT_BEATS;
			onSign();
			owner.onOpen();
		}
		for (const member of members) {
			const { position } = member;
			if (event.type === "$open") member.resumedAt = position;
			const ahead = notAfter(id, position);
			const wanted = !hasHad(member, event, ahead) && concerns(member, event);
			if (wanted && straddles(event, position)) {
				owner.onApart(member);
				continue;
			}
			if (id && !ahead) {
				member.position = id;
				if (event.type !== "$open") failures = 0;
			}
			if (wanted || !(event.fault ?? value.channel)) member.take(ahead ? {
				...event,
				id: position
			} : event);
		}
	}
	/** Reports whether a member had an event through an earlier connection, where it got further than this one. */
	function hasHad(member, event, ahead) {
		const { type, id, value } = event;
		const { position } = member;
		if (type === "$gap") return !!position && position !== start && notAfter(value.resumes_at, position);
		if (type === "message" && id && value.id && value.id !== id) return notAfter(value.id, member.resumedAt);
		return ahead && type !== "$run";
	}
	/** Ends it for good for the members that are concerned. */
	function over(error) {
		const together = members.size > 1;
		if (together && error.status && error.status !== 401) closed = true;
		for (const member of closed ? [] : [...members]) {
			if (together && bye?.channel && !member.channels.includes(bye.channel)) continue;
			members.delete(member);
			member.onEnd(error, !!bye);
		}
		if (closed || !members.size) owner.onEnd(connection, error.status);
	}
	run();
	return connection;
}
/**
* Reports whether an event stands for several messages of which a member at this position has had some.
* For a stream that starts at the position, the server would have sent the others alone. The message has
* another id than the event if it is out of order.
*/
function straddles({ id, value }, position) {
	const message = value;
	return message.id === id && notAfter(message.first_id, position);
}
export { RUN_ENDED as a, notAfter as c, matches as i, backoff as l, SILENT_BEATS as n, askFor as o, connect as r, epochOf as s, SILENCE_MS as t };
