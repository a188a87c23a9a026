const require_abort = require("./shared-abort.cjs");
const require_request = require("./shared-request.cjs");
const require_retry = require("./shared-retry.cjs");
const require_subscribe = require("./shared-subscribe.cjs");
const require_connection = require("./shared-connection.cjs");
// src/server/caller.ts
/** Goes with a body that is a stream: `fetch` wants to be told. */
const STREAMED = { duplex: "half" };
/** Sends requests to one server with one API key. It holds no state and may be used concurrently. */
var Caller = class {
	url;
	apiKey;
	fetch;
	policy;
	timeoutMs;
	constructor(url, apiKey, fetch, policy, timeoutMs) {
		this.url = url;
		this.apiKey = apiKey;
		this.fetch = fetch;
		this.policy = policy;
		this.timeoutMs = timeoutMs;
	}
	/** Repeats a request until it succeeds or must not be repeated, and reads the answer. */
	call(question) {
		return require_retry.retrying(this.policy, {
			once: question.once,
			signal: question.signal
		}, () => this.attempt(question));
	}
	/** Makes a request once. It throws a {@link SluiceError}, or the signal's reason. */
	async attempt({ method, path, query = [], body, once, signal: outer }) {
		const url = require_request.endpoint(this.url, path);
		for (const [name, value] of query) url.searchParams.append(name, value);
		const { signal, done } = require_retry.within(this.timeoutMs, outer, () => unanswered(url, once, /* @__PURE__ */ new Error(`no answer within ${this.timeoutMs} ms`)));
		try {
			const response = await this.send(url, {
				method,
				signal,
				...body !== void 0 && { body }
			}, body && "application/json");
			return await require_abort.orAbort(response.json(), signal);
		} catch (cause) {
			if (signal.aborted) throw signal.reason;
			if (cause instanceof SyntaxError) throw new require_request.SluiceError("invalid-answer", "The answer is not JSON", { cause });
			throw cause instanceof require_request.SluiceError ? cause : unanswered(url, once, cause);
		} finally {
			done();
		}
	}
	/**
	* Sends one request with the credential. An answer other than a success is thrown as a
	* {@link SluiceError}; what `fetch` throws is passed on.
	*
	* It does not set request fields that only browsers use, because some edge runtimes refuse them.
	*/
	async send(url, init, contentType) {
		const { fetch } = this;
		const headers = {
			...require_request.authorization(this.apiKey),
			...contentType && { "Content-Type": contentType },
			...init.headers
		};
		const request = async () => {
			const response = await fetch(url, {
				...init,
				headers
			});
			if (!response.ok) throw await require_request.problemOf(response, url);
			return response;
		};
		return require_abort.orAbort(request(), init.signal ?? void 0);
	}
};
/** The error of a request without an answer: nobody knows whether it was carried out. */
function unanswered({ origin }, once, cause) {
	const doubt = once ? "" : "; it may have happened all the same, and is not repeated: with a key it could be";
	return new require_request.SluiceError("network", `No answer from ${origin}${reasonOf(cause)}${doubt}`, { cause });
}
/** Why there was no connection, if the runtime says so: ` (ECONNREFUSED)`. */
function reasonOf(cause) {
	const { code } = Object(cause?.cause);
	return typeof code === "string" ? ` (${code})` : "";
}
// src/server/item.ts
/**
* Validates a message against its topic's schema and encodes it as the server reads it: JSON on one
* line.
*
* It sends the data as it was given, not the schema's output: subscribers run the schema again, and
* it may not accept its own output.
*
* @throws SluiceError of status 0: `schema-violation` with the location of each fault, or
*   `malformed` for what JSON cannot express
*/
async function itemOf(ref, data, { key, runId, traceparent }) {
	const { channel, topic } = ref;
	const result = await require_subscribe.check(require_subscribe.schemaOf(ref), data);
	if (result.issues) {
		const errors = require_subscribe.faultsOf(result);
		const detail = errors.map((each) => each.pointer ? `${each.pointer}: ${each.detail}` : each.detail).join("; ");
		throw new require_request.SluiceError("schema-violation", `The data breaks the schema of ${topic}: ${detail}`, {
			detail,
			errors
		});
	}
	return jsonOf({
		channel,
		topic,
		data: written(data, topic),
		run_id: runId,
		idempotency_key: key,
		traceparent
	});
}
/**
* Encodes a value as JSON.
*
* @throws SluiceError `malformed`
*/
function jsonOf(value) {
	try {
		return JSON.stringify(value);
	} catch (cause) {
		throw new require_request.SluiceError("malformed", `The data cannot be written as JSON: ${String(cause)}`, { cause });
	}
}
/** Refuses what JSON.stringify would silently leave out. */
function written(data, topic) {
	if (data === void 0 || typeof data === "function" || typeof data === "symbol") throw new require_request.SluiceError("malformed", `The data for ${topic} is ${typeof data}, which JSON cannot express`);
	return data;
}
/** Reads the server's answer to one of several items: a receipt, or a problem, which has a status, and in `retry_after` what is a header otherwise. */
async function resultOf(answer) {
	if (!("status" in answer)) return answer;
	const { status, retry_after: seconds } = answer;
	return require_request.problemOf(new Response(jsonOf(answer), {
		status,
		headers: seconds ? { "Retry-After": String(seconds) } : {}
	}));
}
// src/server/jsonschema.ts
/** The version of JSON Schema that the server uses. */
const TARGET = "draft-2020-12";
/**
* Finds the JSON Schema of a topic: from its definition, from the converter, or from the validator
* itself. undefined: there is none.
*
* @throws SluiceError `bad-schema` if the validator cannot express its schema
*/
function jsonSchemaOf(topic, { schema, jsonSchema }, convert) {
	if (jsonSchema) return jsonSchema;
	const { vendor, jsonSchema: own } = schema["~standard"];
	if (vendor === "sluice" || vendor === "inngest") return void 0;
	try {
		const made = convert ? convert(schema, {
			io: "input",
			typeMode: "input",
			target: TARGET
		}) : own?.input({ target: TARGET });
		return made && portable(made);
	} catch (cause) {
		throw new require_request.SluiceError("bad-schema", `The schema of ${topic} cannot be written as a JSON Schema; give its jsonSchema instead: ${String(cause)}`, { cause });
	}
}
/** Keywords whose values are data, not schemas. */
const DATA = [
	"const",
	"enum",
	"default",
	"examples"
];
/**
* Copies a schema without patterns that use lookaround, which the server (RE2) does not support, if a
* format beside them says the same.
*/
function portable(node) {
	if (typeof node !== "object" || node === null) return node;
	if (Array.isArray(node)) return node.map(portable);
	const { pattern, format } = node;
	const left = typeof pattern === "string" && typeof format === "string" && /\(\?<?[=!]/.test(pattern) ? "pattern" : void 0;
	return Object.fromEntries(Object.entries(node).filter(([key]) => key !== left).map(([key, value]) => [key, DATA.includes(key) ? value : portable(value)]));
}
// src/server/define.ts
/** Adds a definition, or replaces it completely. */
async function define(caller, channel, options) {
	const { name = "$template" in channel ? channel.$template : channel.name, strict, replay, toJSONSchema, signal } = options;
	const topics = Object.fromEntries(Object.entries(require_subscribe.topicsOf(channel)).map(([topic, definition]) => [topic, {
		schema: jsonSchemaOf(topic, definition, toJSONSchema),
		merge: definition.merge
	}]));
	return caller.call({
		method: "PUT",
		path: "/v1/schemas/$",
		query: [["name", name]],
		once: true,
		signal,
		body: jsonOf({
			topics,
			strict,
			replay
		})
	});
}
// src/server/array.ts
/** How many messages the server accepts in one request. */
const MAX_ITEMS = 1e3;
/**
* How many bytes go into one request, unless a single message is longer. The server accepts more;
* proxies with default settings accept this much.
*/
const MAX_BYTES$1 = 524288;
/** Measures what an item adds to a request. */
function bytesOf(json) {
	return new TextEncoder().encode(json).length + 1;
}
/** Reports whether a request that has items of so many bytes has room for one more. */
function hasRoom(items, bytes, more) {
	return items === 0 || items < MAX_ITEMS && bytes + more <= MAX_BYTES$1;
}
/**
* Publishes items with one request, in order, and returns a result for each. It throws a
* {@link SluiceError} about the request as a whole, or the signal's reason.
*
* @param once repeating all of them has no further effect
*/
async function publishArray(caller, items, once, { signal }) {
	const answers = await caller.attempt({
		method: "POST",
		path: "/v1/publish",
		body: `[${items.join()}]`,
		once,
		signal
	});
	if (!Array.isArray(answers) || answers.length !== items.length || answers.some((answer) => Object(answer) !== answer)) throw new require_request.SluiceError("invalid-answer", "The answer does not have a result for each message");
	return Promise.all(answers.map(resultOf));
}
// src/server/gather.ts
/** Statuses with which a server or a proxy refuses a request as a whole, perhaps because of one of its messages. */
const REFUSALS = [
	400,
	403,
	413,
	422
];
/** How long messages of other channels wait for a request. */
const HOLD_UP_MS = 1e3;
/**
* Publishes messages with one request at a time. Messages that are made meanwhile wait, and leave together
* with the next one. So a message that is alone leaves at once, and the load decides how many share a request.
*
* A request that takes long, perhaps because of one channel with slow readers, is overtaken: from then on it
* holds up only its own channels.
*
* Messages share a request and nothing else: each has its own receipt or error, its own retries and its own signal. If a
* request is refused as a whole, each half of it is sent again, until only the message at fault is
* refused. A request is cancelled when all of its callers have left.
*
* Messages of one channel leave in the order in which they were made, except that a retry goes behind
* those that wait. A request is made in the asynchronous context of its first message, so that
* instrumentation of `fetch` takes a message that is alone for what it is.
*/
var Gatherer = class {
	caller;
	#waiting = /* @__PURE__ */ new Set();
	#channels = /* @__PURE__ */ new Set();
	#current;
	constructor(caller) {
		this.caller = caller;
	}
	async publish(channel, item, once, { signal }) {
		let place = this.#enter(channel, once, !!signal);
		try {
			const json = await require_abort.orAbort(item, signal);
			return await require_retry.retrying(this.caller.policy, {
				once,
				signal
			}, async () => {
				place ??= this.#enter(channel, once, !!signal);
				place.json = json;
				queueMicrotask(() => this.#start());
				try {
					return await require_abort.orAbort(place.receipt, signal);
				} finally {
					this.#leave(place);
					place = void 0;
				}
			});
		} finally {
			if (place) this.#leave(place);
		}
	}
	#enter(channel, once, abortable) {
		let resolve, reject, lead;
		const receipt = new Promise((...settle) => [resolve, reject] = settle);
		receipt.catch(() => void 0);
		new Promise((resolve) => lead = resolve).then((batch) => this.#send(batch));
		const entry = {
			channel,
			json: void 0,
			once,
			abortable,
			receipt,
			resolve,
			reject,
			lead,
			batch: void 0
		};
		this.#waiting.add(entry);
		return entry;
	}
	/** Forgets an entry whose caller does not wait any more. */
	#leave(entry) {
		if (this.#waiting.delete(entry)) this.#start();
		const { live, cancelled } = entry.batch ?? {};
		if (live?.delete(entry) && !live.size) cancelled?.abort();
	}
	/** Sends the next batch, unless one is under way or nothing is ready. */
	#start() {
		const entries = this.#current ? [] : this.#take();
		const [first] = entries;
		if (!first) return;
		const cancelled = entries.some(({ abortable }) => abortable) ? new AbortController() : void 0;
		const batch = {
			entries,
			live: new Set(entries),
			cancelled
		};
		for (const entry of entries) {
			entry.batch = batch;
			this.#channels.add(entry.channel);
		}
		this.#current = batch;
		first.lead(batch);
	}
	/** Takes what is ready and fits into one request. An entry that is not ready holds up those behind it on its channel. */
	#take() {
		const taken = [];
		const heldUp = new Set(this.#channels);
		let bytes = 0;
		for (const entry of this.#waiting) {
			const { channel, json } = entry;
			if (json === void 0) heldUp.add(channel);
			if (json === void 0 || heldUp.has(channel)) continue;
			const more = bytesOf(json);
			if (!hasRoom(taken.length, bytes, more)) break;
			bytes += more;
			taken.push(entry);
			this.#waiting.delete(entry);
		}
		return taken;
	}
	async #send(batch) {
		const stop = require_request.after(HOLD_UP_MS, () => this.#pass(batch));
		await this.#deliver(batch.entries, batch);
		stop();
		for (const { channel } of batch.entries) this.#channels.delete(channel);
		this.#pass(batch);
		this.#start();
	}
	/** Lets others go, although the batch may still be under way. */
	#pass(batch) {
		if (this.#current !== batch) return;
		this.#current = void 0;
		this.#start();
	}
	/** Sends those entries whose callers still wait, and settles them. It never rejects. */
	async #deliver(entries, batch) {
		const sent = entries.filter((entry) => batch.live.has(entry));
		try {
			const results = await this.#request(sent, batch.cancelled?.signal);
			for (const [i, entry] of sent.entries()) {
				const { resolve, reject } = entry;
				const result = results[i];
				batch.live.delete(entry);
				if (result instanceof require_request.SluiceError) reject(result);
				else resolve(result);
			}
		} catch (error) {
			const { status, code, cause } = error;
			if (sent.length > 1 && REFUSALS.includes(status)) {
				const middle = sent.length >> 1;
				await this.#deliver(sent.slice(0, middle), batch);
				return this.#deliver(sent.slice(middle), batch);
			}
			for (const entry of sent) {
				batch.live.delete(entry);
				entry.reject(code === "network" ? unanswered(this.caller.url, entry.once, cause) : error);
			}
		}
	}
	/** Makes one request: an item that is alone is not in an array. */
	async #request(entries, signal) {
		const items = entries.map(({ json }) => json);
		if (items.length > 1) return publishArray(this.caller, items, true, { signal });
		return Promise.all(items.map((body) => this.caller.attempt({
			method: "POST",
			path: "/v1/publish",
			body,
			once: true,
			signal
		})));
	}
};
// src/server/batch.ts
/** Publishes messages in as few requests as the limits allow, one after the other, and stores each result in its place. */
var Batch = class {
	caller;
	options;
	results;
	#entries = [];
	#bytes = 0;
	constructor(caller, options, results) {
		this.caller = caller;
		this.options = options;
		this.results = results;
	}
	/** Adds a message. This may send earlier ones. */
	async add(index, json, once) {
		const bytes = bytesOf(json);
		if (!hasRoom(this.#entries.length, this.#bytes, bytes)) await this.flush();
		this.#entries.push({
			index,
			json,
			once
		});
		this.#bytes += bytes;
	}
	/** Sends the messages that wait. */
	async flush() {
		const entries = this.#entries;
		this.#entries = [];
		this.#bytes = 0;
		await this.#settle(entries);
	}
	/** Publishes entries, and retries temporary failures, until all have their result. */
	async #settle(entries) {
		const { policy } = this.caller;
		let pending = entries;
		for (let failures = 0; pending.length; failures++) {
			const outcomes = await this.#attempt(pending);
			if (!outcomes) return this.#halve(pending);
			const again = [];
			let last;
			for (const [i, entry] of pending.entries()) {
				const outcome = this.results[entry.index] = outcomes[i];
				if (!(outcome instanceof require_request.SluiceError) || !require_retry.mayRepeat(outcome, entry.once)) continue;
				again.push(entry);
				last = outcome;
			}
			if (!last || failures >= policy.retries) return;
			await require_retry.pause(policy, failures, last, this.options.signal);
			pending = again;
		}
	}
	/** Sends one request. undefined: it was too large as a whole. */
	async #attempt(entries) {
		const items = entries.map(({ json }) => json);
		const once = entries.every((entry) => entry.once);
		try {
			return await publishArray(this.caller, items, once, this.options);
		} catch (error) {
			if (!(error instanceof require_request.SluiceError)) throw error;
			return error.status === 413 && entries.length > 1 ? void 0 : entries.map(() => error);
		}
	}
	/** Continues with two halves, so that a server or proxy with lower limits refuses only messages that are too large by themselves. */
	async #halve(entries) {
		const middle = entries.length >> 1;
		await this.#settle(entries.slice(0, middle));
		await this.#settle(entries.slice(middle));
	}
};
// src/server/publish.ts
/** Sends each message with a request of its own. */
function singly(caller) {
	return { async publish(_, item, once, { signal }) {
		const body = await require_abort.orAbort(item, signal);
		return caller.call({
			method: "POST",
			path: "/v1/publish",
			body,
			once,
			signal
		});
	} };
}
/** Publishes one message. */
async function publish(publisher, ref, data, options) {
	return publisher.publish(ref.channel, itemOf(ref, data, options), options.key !== void 0, options);
}
/** Publishes messages in order. The result of each is in its place. */
async function publishMany(caller, items, options) {
	const results = [];
	const batch = new Batch(caller, options, results);
	for (const [index, { ref, data, ...attributes }] of items.entries()) try {
		await batch.add(index, await require_abort.orAbort(itemOf(ref, data, attributes), options.signal), attributes.key !== void 0);
	} catch (error) {
		if (!(error instanceof require_request.SluiceError)) throw error;
		results[index] = error;
	}
	await batch.flush();
	return results;
}
// src/server/ask.ts
const TERMINAL = [
	"completed",
	"failed",
	"cancelled"
];
/** How many messages the server returns at a time. */
const PAGE = 1e3;
/** Asks and waits. Only messages after the question can be its answer. */
async function ask(caller, run, publish, options) {
	const { timeout, reply } = options;
	const late = () => new require_request.SluiceError("timeout", `No answer came on ${reply.topic} of ${reply.channel} within ${timeout} ms`);
	const { signal, done } = require_retry.within(timeout, options.signal, late);
	try {
		const { id } = await publish({ signal });
		const held = await heldAnswer(caller, options, id, signal);
		const { data } = "data" in held ? held : await nextAnswer(caller, run, options, held.position, signal);
		return data;
	} finally {
		done();
	}
}
/** Searches what the server holds for the answer. If there is none, it returns the position that it has reached. */
async function heldAnswer(caller, options, question, signal) {
	const { reply } = options;
	const path = "/v1/channels/$/messages";
	let position = question;
	for (;;) {
		const page = await caller.call({
			method: "GET",
			path,
			once: true,
			signal,
			query: Object.entries({
				channel: reply.channel,
				topic: reply.topic,
				after: position,
				limit: String(PAGE)
			})
		});
		if (page.gap) throw gapError(reply.channel);
		for (const message of page.messages) {
			const answer = await require_abort.orAbort(answerOf(message, options), signal);
			if (answer) return answer;
			position = message.id;
		}
		if (!page.next) return { position };
		position = page.next;
	}
}
/** Waits for the answer among the messages after a position. */
function nextAnswer(caller, run, options, position, signal) {
	const { reply } = options;
	const { url, apiKey, fetch, policy } = caller;
	return new Promise((resolve, reject) => {
		const subscription = require_subscribe.subscribe({
			url,
			fetch,
			token: apiKey,
			channels: [reply.channel, run.channel],
			topics: [reply.topic],
			lastEventId: position,
			reconnectMinMs: policy.minMs,
			reconnectMaxMs: policy.maxMs,
			async onMessage(message) {
				if (message.channel !== reply.channel) return;
				const answer = answerOf(message, options);
				if (await answer.catch(() => true)) end(() => resolve(answer));
			},
			onRun(state) {
				if (TERMINAL.includes(state.status) && concerns(state, run, reply)) end(() => reject(endError(run, state)));
			},
			onGap({ channel }) {
				if (channel === reply.channel) end(() => reject(gapError(channel)));
			},
			onStatus(status, { error }) {
				if ((status === "error" || status === "closed") && error) end(() => reject(error));
			}
		});
		const abort = () => end(() => reject(signal.reason));
		function end(settle) {
			settle();
			signal.removeEventListener("abort", abort);
			subscription.close();
		}
		if (signal.aborted) abort();
		else signal.addEventListener("abort", abort);
	});
}
/** Reports whether a status is that of the asker's run. One without an id counts only if the question and the answer share the asker's channel. */
function concerns({ run_id }, run, reply) {
	return run_id === void 0 ? run.channel === reply.channel : run_id === run.id;
}
/** Returns the answer if the message is one: data of the reply topic that is valid and matches. */
async function answerOf(message, { reply, match }) {
	if (message.kind !== "data" || message.topic !== reply.topic) return void 0;
	const result = await require_subscribe.check(require_subscribe.schemaOf(reply), message.data);
	if (result.issues || match && !match(result.value)) return void 0;
	return { data: result.value };
}
function gapError(channel) {
	return new require_request.SluiceError("gap", `Messages of ${channel} are lost that the answer may be among`);
}
function endError({ id }, { status }) {
	return new require_request.SluiceError("run-ended", `The run ${id} is ${status}; nobody waits for an answer any more`, { detail: status });
}
// src/server/key.ts
/** The longest key that the server accepts, in bytes. */
const MAX_BYTES = 255;
/** The longest stream id that the server accepts, in bytes. */
const MAX_STREAM_ID_BYTES = 64;
/** How much of a hash is in a stream id: 32 characters of base64, without padding. */
const HASHED_BYTES = 24;
/**
* Returns the key under which a step of a run publishes. It is the same in every SDK and unique to the
* pair: `run:RUN:STEP`, both percent-encoded, or a hash of that if it is too long.
*/
async function stepKey(runId, stepId) {
	const key = `run:${encode(runId)}:${encode(stepId)}`;
	if (key.length <= MAX_BYTES) return key;
	return `run:sha256:${Array.from(await sha256(key), (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
/**
* Returns the stream id of the text of a step. It is the same in every SDK and unique to the pair:
* `RUN:STEP` if both consist of `A-Z a-z 0-9 _ . -` and that is short enough. Otherwise it is `h:` and the
* first bytes of a hash of both, with a line feed between them: no run's id contains one.
*/
async function stepStreamId(runId, stepId) {
	const id = `${runId}:${stepId}`;
	if (id.length <= MAX_STREAM_ID_BYTES && [runId, stepId].every((part) => encode(part) === part)) return id;
	const bytes = (await sha256(`${runId}\n${stepId}`)).subarray(0, HASHED_BYTES);
	return `h:${btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_")}`;
}
async function sha256(text) {
	return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}
/** Percent-encodes every byte of the UTF-8 text except `A-Z a-z 0-9 _ . -`. */
function encode(text) {
	const one = (byte) => {
		const char = String.fromCharCode(byte);
		return /[A-Za-z0-9_.-]/.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
	};
	return Array.from(new TextEncoder().encode(text), one).join("");
}
// src/server/feed.ts
/** Takes the values of a source, one at a time. */
var Feed = class {
	#iterator;
	#closed = false;
	/** @throws TypeError if it is not a source */
	constructor(source) {
		const whole = isText(source) ? [source] : source;
		if (Symbol.asyncIterator in whole) this.#iterator = whole[Symbol.asyncIterator]();
		else if (Symbol.iterator in whole) this.#iterator = whole[Symbol.iterator]();
		else throw new TypeError("The source is neither iterable nor a ReadableStream");
	}
	/**
	* Tells the source that nothing more will be taken. It does not wait for the source, which might
	* first finish its next value.
	*/
	close() {
		if (this.#closed) return;
		this.#closed = true;
		(async () => this.#iterator.return?.())().catch(() => void 0);
	}
	/** Takes the next value. It throws what the source throws. */
	async next() {
		if (this.#closed) return {
			done: true,
			value: void 0
		};
		try {
			const step = await this.#iterator.next();
			if (step.done) this.#closed = true;
			return step;
		} catch (error) {
			this.#closed = true;
			throw error;
		}
	}
};
function isText(source) {
	return typeof source === "string" || source instanceof Uint8Array;
}
// src/server/ndjson.ts
/** Yields the lines of a body as they arrive, without line ends. Empty lines are left out. */
async function* linesOf(body) {
	if (!body) return;
	const reader = body.getReader();
	const decoder = new TextDecoder();
	let rest = "";
	try {
		for (;;) {
			const { done, value } = await reader.read();
			const lines = decoder.decode(value, { stream: !done }).split("\n");
			lines[0] = rest + lines[0];
			rest = done ? "" : lines.pop();
			for (const line of lines) if (line.trim()) yield line;
			if (done) return;
		}
	} finally {
		reader.releaseLock();
	}
}
// src/server/lines.ts
/**
* How many messages may be unanswered. Their receipts fit into the network's buffers, so nothing
* blocks if they cannot be read until everything has been sent.
*/
const WINDOW = 512;
/**
* How long after the first line the answer may take to start. If it takes longer, the runtime or a
* proxy holds it back until the request is complete, or the server has refused the request and waits
* for its end. Either way the request ends then, and the rest goes into another one.
*/
const PATIENCE_MS = 1e3;
/** Sends messages as lines of one request as the source yields them, and reads the results meanwhile. */
var LineStream = class {
	caller;
	ref;
	feed;
	options;
	#results = [];
	#unanswered = [];
	#count = 0;
	#line;
	#failure;
	#duplex = true;
	#problem;
	#onAnswer = () => void 0;
	constructor(caller, ref, feed, options) {
		this.caller = caller;
		this.ref = ref;
		this.feed = feed;
		this.options = options;
	}
	/** Publishes everything that the source yields. It rejects if the connection breaks, and with what the source throws. */
	async run() {
		const { signal } = this.options;
		try {
			while (await require_abort.orAbort(this.#next(), signal)) await this.#exchange();
			if (this.#failure) throw this.#failure.error;
			return this.#results;
		} finally {
			this.feed.close();
		}
	}
	/** Returns the next line without taking it; undefined: there is none. */
	#next() {
		return this.#line ??= this.#prepare();
	}
	async #prepare() {
		for (;;) {
			const step = await this.feed.next().catch((error) => {
				this.#failure = { error };
			});
			if (!step || step.done) return void 0;
			const index = this.#count++;
			try {
				return {
					index,
					json: await itemOf(this.ref, step.value, {
						runId: this.options.runId,
						traceparent: this.options.traceparent
					})
				};
			} catch (error) {
				this.#results[index] = error;
			}
		}
	}
	/** Makes one request and reads its whole answer. */
	async #exchange() {
		const exchange = newExchange();
		const { signal: outer } = this.options;
		const { timeoutMs } = this.caller;
		const { signal, expire, done } = require_retry.within(void 0, outer);
		let stop;
		exchange.waitAnew = () => {
			stop?.();
			stop = require_request.after(timeoutMs, () => expire(/* @__PURE__ */ new Error(`no answer within ${timeoutMs} ms`)));
		};
		const body = new ReadableStream({ pull: (controller) => this.#pull(controller, exchange) }, { highWaterMark: 0 });
		try {
			const url = require_request.endpoint(this.caller.url, "/v1/publish");
			const response = await this.caller.send(url, {
				method: "POST",
				body,
				signal,
				...STREAMED
			}, "application/x-ndjson");
			if (!exchange.sent) this.#duplex = true;
			exchange.answering = true;
			exchange.begin();
			await require_abort.orAbort(this.#read(response, exchange), signal);
			if (!exchange.sent || this.#unanswered.length) throw this.#brokenOff();
		} catch (cause) {
			if (outer?.aborted) throw outer.reason;
			throw cause instanceof require_request.SluiceError ? cause : this.#brokenOff(cause);
		} finally {
			clearTimeout(exchange.timer);
			stop?.();
			done();
		}
	}
	/** Gives the request its next line, or its end. */
	async #pull(controller, exchange) {
		const line = await this.#lineFor(exchange);
		if (!line) {
			exchange.sent = true;
			controller.close();
			exchange.waitAnew();
			return;
		}
		this.#line = void 0;
		this.#unanswered.push(line.index);
		exchange.timer ??= setTimeout(() => {
			exchange.late = true;
			this.#duplex = false;
			exchange.begin();
		}, PATIENCE_MS);
		controller.enqueue(new TextEncoder().encode(line.json + "\n"));
	}
	/** Waits for room and for the next line. undefined: the request must end. */
	async #lineFor(exchange) {
		while (this.#unanswered.length >= WINDOW) if (exchange.answering) await new Promise((resolve) => this.#onAnswer = resolve);
		else if (this.#duplex && !exchange.late) await exchange.begun;
		else return void 0;
		return (exchange.answering ? void 0 : await Promise.race([this.#next(), exchange.begun])) ?? (exchange.answering ? this.#next() : void 0);
	}
	async #read({ body }, exchange) {
		for await (const line of linesOf(body)) {
			if (exchange.sent) exchange.waitAnew();
			await this.#take(line);
		}
	}
	/** Takes a line of the answer. A line beyond the number of messages is about the whole request. */
	async #take(line) {
		const result = await resultOf(JSON.parse(line));
		const index = this.#unanswered.shift();
		if (result instanceof require_request.SluiceError) this.#problem = result;
		if (index !== void 0) this.#results[index] = result;
		else if (result instanceof require_request.SluiceError) throw result;
		this.#onAnswer();
	}
	#brokenOff(cause = this.#problem) {
		const answered = this.#results.filter(Boolean).length;
		return new require_request.SluiceError("network", `The stream broke off when ${answered} of ${this.#count} messages had their result`, { cause });
	}
};
function newExchange() {
	let begin;
	return {
		answering: false,
		late: false,
		sent: false,
		begun: new Promise((resolve) => begin = resolve),
		begin,
		timer: void 0,
		waitAnew: () => void 0
	};
}
// src/server/streamoptions.ts
/** @throws TypeError if it is not the number of an attempt */
function checkAttempt(attempt) {
	if (attempt === void 0 || Number.isSafeInteger(attempt) && attempt >= 1) return;
	throw new TypeError(`The attempt is ${attempt}: attempts are whole numbers from 1`);
}
// src/server/backlog.ts
/** How much is kept at most, in bytes. */
const CAPACITY = 1 << 20;
/**
* How much is kept although the server has it. A server that crashes may lose what it has confirmed last, and
* then the text continues before that.
*/
const MARGIN = 262144;
/** The end of a text that the server may not have yet. All offsets are in bytes from the beginning of the text. */
var Backlog = class {
	#bytes = /* @__PURE__ */ new Uint8Array(1024);
	#start = 0;
	#end = 0;
	/** The offset of the first byte that is kept. */
	get start() {
		return this.#start;
	}
	/** The offset after the last byte. */
	get end() {
		return this.#end;
	}
	get isFull() {
		return this.#end - this.#start === CAPACITY;
	}
	/** Appends as much of a piece as there is room for, and returns how many bytes that is. */
	add(piece) {
		const held = this.#end - this.#start;
		const added = piece.subarray(0, CAPACITY - held);
		this.#reserve(held + added.length);
		this.#bytes.set(added, held);
		this.#end += added.length;
		return added.length;
	}
	/** Drops what comes before an offset, except for a margin. */
	drop(offset) {
		const start = Math.max(this.#start, Math.min(offset, this.#end - MARGIN));
		this.#bytes.copyWithin(0, start - this.#start, this.#end - this.#start);
		this.#start = start;
	}
	/**
	* Returns the offset of the last character before an offset. A request that continues there has something
	* to send at once. Node.js sends nothing of a request before it has some of the body, and the source may
	* be silent for longer than the server waits.
	*/
	before(offset) {
		let at = Math.min(offset, this.#end) - this.#start;
		while (at > 0 && (this.#bytes[--at] & 192) === 128);
		return this.#start + at;
	}
	/** Returns a copy of at most max bytes from an offset on, which must be kept. */
	slice(offset, max) {
		const from = offset - this.#start;
		return this.#bytes.slice(from, Math.min(from + max, this.#end - this.#start));
	}
	#reserve(size) {
		if (size <= this.#bytes.length) return;
		const grown = new Uint8Array(Math.min(CAPACITY, Math.max(size, this.#bytes.length * 2)));
		grown.set(this.#bytes.subarray(0, this.#end - this.#start));
		this.#bytes = grown;
	}
};
// src/server/pieces.ts
const REPLACEMENT = "�";
/**
* Encodes a text that arrives in pieces, as strings or bytes. The result is valid UTF-8 whatever the
* source gives: the server would replace other bytes, and count what it has made of them.
*/
var PieceEncoder = class {
	#high = "";
	#decoder = new TextDecoder("utf-8", { ignoreBOM: true });
	/**
	* @returns a copy of what can be sent so far, possibly nothing
	* @throws TypeError if the piece is not text
	*/
	encode(piece) {
		let text;
		if (piece instanceof Uint8Array) text = (this.#high && REPLACEMENT) + this.#decoder.decode(piece, { stream: true });
		else if (typeof piece === "string") text = this.#decoder.decode() + this.#high + piece;
		else throw new TypeError(`A piece of a text is of type ${typeof piece}: neither a string nor a Uint8Array`);
		this.#high = /[\uD800-\uDBFF]$/.test(text) ? text.slice(-1) : "";
		return new TextEncoder().encode(this.#high ? text.slice(0, -1) : text);
	}
	/** Returns the rest: part of a character becomes U+FFFD. */
	end() {
		const rest = this.#decoder.decode() + (this.#high && REPLACEMENT);
		this.#high = "";
		return new TextEncoder().encode(rest);
	}
};
// src/server/textfeed.ts
/** How much is read at once, in bytes, at most. */
const MAX_READ = 65536;
/** Takes a text from its source as fast as it is read, and keeps its end in a {@link Backlog}. */
var TextFeed = class {
	feed;
	room;
	backlog = new Backlog();
	/** What the source threw. */
	failure;
	#encoder = new PieceEncoder();
	#rest = /* @__PURE__ */ new Uint8Array();
	#drained = false;
	#filling;
	/** @param room waits until the backlog is not full */
	constructor(feed, room) {
		this.feed = feed;
		this.room = room;
	}
	/**
	* Returns a copy of some of the text from an offset on, which must be within the backlog. Nothing: the
	* text ends there. It throws what the source throws. A request that was given up may still be waiting
	* here while the next one reads; both get the same.
	*/
	async read(offset) {
		const { backlog } = this;
		while (offset === backlog.end && !(this.#drained && !this.#rest.length)) {
			if (this.failure) throw this.failure.error;
			await (this.#filling ??= this.#fill().finally(() => this.#filling = void 0));
		}
		return backlog.slice(offset, MAX_READ);
	}
	/** Moves some of the text from the source into the backlog, if there is more. */
	async #fill() {
		try {
			while (!this.#rest.length && !this.#drained) {
				const step = await this.feed.next();
				this.#drained = !!step.done;
				this.#rest = step.done ? this.#encoder.end() : this.#encoder.encode(step.value);
			}
		} catch (error) {
			this.failure = { error };
			throw error;
		}
		if (this.#rest.length) await this.room();
		this.#rest = this.#rest.subarray(this.backlog.add(this.#rest));
	}
};
// src/server/textrequest.ts
/** One request that sends a text from some offset on, to its end. */
var TextRequest = class {
	caller;
	text;
	offset;
	confirm;
	/** Up to where the request has been given the text. */
	sent;
	/**
	* @param confirm asks the server how much of the text it has. undefined: it cannot tell, perhaps because
	*   a proxy holds the request back until it is complete.
	*/
	constructor(caller, text, offset, confirm) {
		this.caller = caller;
		this.text = text;
		this.offset = offset;
		this.confirm = confirm;
		this.sent = offset;
	}
	/** Sends the request and returns the answer. It throws a {@link SluiceError}, what the source throws, or the signal's reason. */
	async send(url, outer, traceparent) {
		const { timeoutMs } = this.caller;
		const deadline = require_retry.within(void 0, outer);
		const { signal, expire, done } = deadline;
		let stop;
		const body = this.#body(signal, () => {
			stop = require_request.after(timeoutMs, () => expire(new require_request.SluiceError("network", `The text was sent, and no answer came within ${timeoutMs} ms`)));
		});
		this.#watch(deadline);
		try {
			const response = await this.caller.send(url, {
				method: "POST",
				body,
				signal,
				...traceparent && { headers: { traceparent } },
				...STREAMED
			});
			return await require_abort.orAbort(response.json(), signal);
		} catch (cause) {
			if (signal.aborted) throw signal.reason;
			if (cause instanceof SyntaxError) throw new require_request.SluiceError("invalid-answer", "The answer is not JSON", { cause });
			if (cause instanceof require_request.SluiceError) throw cause;
			throw new require_request.SluiceError("network", "The connection broke off before the text was complete", { cause });
		} finally {
			stop?.();
			done();
		}
	}
	/** Creates a body that takes from the source only what is sent. If the source fails, the body breaks off: an end would complete the text. */
	#body(signal, onEnd) {
		return new ReadableStream({ pull: async (controller) => {
			try {
				const bytes = await this.text.read(this.sent);
				if (signal.aborted) return;
				this.sent += bytes.length;
				if (bytes.length) return controller.enqueue(bytes);
				controller.close();
				onEnd();
			} catch (error) {
				controller.error(error);
			}
		} }, { highWaterMark: 0 });
	}
	/**
	* Ends the request if text was sent and none of it reaches the server. Otherwise it could take a quarter
	* of an hour to notice that the other end of a connection is gone.
	*/
	async #watch({ signal, expire }) {
		const intervalMs = this.caller.timeoutMs / 2;
		try {
			for (let last, had = 0;; last = had) {
				const { sent } = this;
				await require_retry.wait(intervalMs, signal);
				if (had >= sent) continue;
				const now = await this.confirm(signal);
				if (now === void 0 && !this.text.backlog.isFull) continue;
				had = now ?? 0;
				if (had < sent && had === last) throw new require_request.SluiceError("network", `Nothing of the text has reached the server for ${intervalMs} ms`);
			}
		} catch (error) {
			expire(error);
		}
	}
};
// src/server/textstate.ts
/** The codes of refusals. The answer to HEAD has no body that could tell them. */
const CODES = {
	400: "malformed",
	401: "unauthorized",
	403: "forbidden"
};
/**
* Asks the server once how far it is with a text. undefined: it does not know the text. It throws a
* {@link SluiceError}, or the signal's reason.
*/
async function textState(caller, url, outer) {
	const late = () => new require_request.SluiceError("network", `The server gave no answer within ${caller.timeoutMs} ms`);
	const { signal, done } = require_retry.within(caller.timeoutMs, outer, late);
	try {
		return stateOf(await caller.send(url, {
			method: "HEAD",
			signal
		}));
	} catch (cause) {
		if (signal.aborted) throw signal.reason;
		if (!(cause instanceof require_request.SluiceError)) throw require_request.lost(cause);
		const { status, message, retryAfterMs } = cause;
		if (status === 404) return void 0;
		throw status in CODES ? new require_request.SluiceError(CODES[status], message, {
			status,
			retryAfterMs
		}) : cause;
	} finally {
		done();
	}
}
function stateOf({ headers }) {
	const attempt = Number(headers.get("Stream-Attempt"));
	if (!attempt) throw new require_request.SluiceError("invalid-answer", "The answer does not say how far the text is");
	return {
		attempt,
		offset: Number(headers.get("Stream-Offset")),
		state: headers.get("Stream-State")
	};
}
// src/server/textpublisher.ts
const PATH = "/v1/publish/$/$/stream";
/** How long an error may wait for the server to end the text. */
const GIVE_UP_MS = 2e3;
/**
* Publishes one text, in as many requests as it takes. Each request sends the text from some offset to its
* end. When one breaks off, the publisher asks the server how much it has and continues there. It can,
* because it keeps the end of the text until the server has it.
*
* The server decides who may write a text. When a higher attempt takes over, the request of the lower one
* is refused as `superseded`. If that one has no request then, it learns so when it asks.
*/
var TextPublisher = class {
	caller;
	plan;
	signal;
	#names;
	#text;
	#attempt;
	#request;
	#confirmed = 0;
	#conflict;
	#cut = 0;
	constructor(caller, { channel, topic }, feed, plan, signal) {
		this.caller = caller;
		this.plan = plan;
		this.signal = signal;
		this.#names = {
			channel,
			topic,
			stream_id: plan.streamId ?? crypto.randomUUID()
		};
		this.#text = new TextFeed(feed, () => this.#room());
		this.#attempt = plan.attempt ?? 1;
	}
	/** Publishes the text. It gives up after as many failures in a row as the policy allows, counted anew whenever the server has got more. */
	async run() {
		const { policy } = this.caller;
		let reached = 0;
		for (let failures = 0;; failures++) try {
			return await (this.#request ? this.#goOn() : this.#begin());
		} catch (error) {
			if (this.signal.aborted || this.#text.failure) await this.#giveUp();
			if (this.signal.aborted) throw this.signal.reason;
			if (this.#text.failure) throw this.#text.failure.error;
			if (!(error instanceof require_request.SluiceError) || !this.#mayGoOn(error)) throw error;
			if (this.#confirmed > reached) failures = 0;
			reached = Math.max(reached, this.#confirmed);
			if (failures >= policy.retries) throw error;
			await require_retry.pause(policy, failures, error, this.signal);
		}
	}
	/** Reports whether to go on after a failure. A conflict has several reasons, and is final if {@link #goOn} throws it again. */
	#mayGoOn(error) {
		if (error.code === "network") this.#cut++;
		if (error.code !== "conflict") return require_request.transient(error);
		const known = this.#conflict === error;
		this.#conflict = error;
		return !known;
	}
	async #begin() {
		const { once, attempt } = this.plan;
		const known = once ? await this.#ask() : void 0;
		if (known?.state === "complete") return this.#receiptOf(known);
		if (known && attempt === void 0) this.#attempt = known.attempt + 1;
		return this.#send(0);
	}
	/** Finds out where to go on, and does. */
	async #goOn() {
		const { backlog } = this.#text;
		const known = await this.#ask();
		const attempt = known?.attempt ?? 0;
		if (attempt > this.#attempt) throw new require_request.SluiceError("superseded", `Attempt ${attempt} has taken over the text`, { status: 409 });
		if (!known || attempt < this.#attempt) return this.#sendAll("The server does not know the text any more");
		this.#confirmed = known.offset;
		if (known.state === "complete") return this.#receiptOf(known);
		if (known.state === "aborted") return this.#sendAnew("The server has ended the text as aborted");
		if (this.#conflict && known.offset >= this.#request.offset) {
			const { offset } = this.#request;
			if (this.#cut > 0 && offset >= backlog.start) {
				this.#cut--;
				return this.#send(offset);
			}
			if (this.plan.attempt !== void 0) throw this.#conflict;
			return this.#sendAnew("Somebody else has published the text");
		}
		if (known.offset < backlog.start) return this.#sendAll("The server has lost some of the text");
		return this.#send(backlog.before(known.offset));
	}
	/** Ends the text as aborted, so that readers need not wait for more. If that fails, the server does it after a while. */
	async #giveUp() {
		if (!this.#request) return;
		const { signal, done } = require_retry.within(Math.min(this.caller.timeoutMs, GIVE_UP_MS), void 0);
		const url = this.#url({
			...this.#names,
			attempt: String(this.#attempt)
		});
		await this.caller.send(url, {
			method: "DELETE",
			signal
		}).catch(() => {});
		done();
	}
	/** Begins the text again, as the next attempt. */
	#sendAnew(why) {
		this.#attempt++;
		this.#cut = 0;
		return this.#sendAll(why);
	}
	/** Sends the text from its beginning, if that is still there. */
	#sendAll(why) {
		if (this.#text.backlog.start > 0) throw lostText(`${why}, and its beginning is no longer held here`);
		this.#confirmed = 0;
		return this.#send(0);
	}
	#send(offset) {
		this.#conflict = void 0;
		this.#request = new TextRequest(this.caller, this.#text, offset, (signal) => this.#confirm(signal));
		const { runId, traceparent } = this.plan;
		const query = {
			...this.#names,
			...runId !== void 0 && { run_id: runId },
			...at(this.#attempt, offset)
		};
		return this.#request.send(this.#url(query), this.signal, traceparent);
	}
	/** Gets the receipt of a complete text. If the server no longer knew it, the offset would be refused. */
	#receiptOf({ attempt, offset }) {
		const query = Object.entries({
			...this.#names,
			...at(attempt, offset)
		});
		return this.caller.attempt({
			method: "POST",
			path: PATH,
			query,
			once: true,
			signal: this.signal
		});
	}
	#ask(signal = this.signal) {
		return textState(this.caller, this.#url(this.#names), signal);
	}
	/**
	* Returns how much of the attempt the server has, which need not be sent again. undefined: it does not
	* say, or has aborted the attempt. It throws if there is no answer.
	*/
	async #confirm(signal) {
		const known = await this.#ask(signal).catch((error) => {
			if (!(error instanceof require_request.SluiceError) || error.code === "network") throw error;
		});
		return known?.attempt === this.#attempt && known.state !== "aborted" ? known.offset : void 0;
	}
	/** Waits until the server has more of the text, so that the backlog has room. */
	async #room() {
		const { backlog } = this.#text;
		const { minMs, maxMs } = this.caller.policy;
		for (let waits = 0; backlog.isFull; waits++) {
			const confirmed = await this.#confirm().catch(() => void 0);
			backlog.drop(confirmed ?? 0);
			if (backlog.isFull) await require_retry.wait(require_connection.backoff(waits, minMs, maxMs), this.signal);
		}
	}
	#url(query) {
		const url = require_request.endpoint(this.caller.url, PATH);
		for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
		return url;
	}
};
function at(attempt, offset) {
	return {
		attempt: String(attempt),
		offset: String(offset)
	};
}
function lostText(why) {
	return new require_request.SluiceError("text-lost", why);
}
// src/server/text.ts
/** Publishes a text piece by piece as the source yields it. */
async function streamText(caller, ref, feed, plan) {
	checkAttempt(plan.attempt);
	const { signal, done } = require_retry.within(void 0, plan.signal);
	try {
		return Object.assign({ duplicate: false }, await new TextPublisher(caller, ref, feed, plan, signal).run());
	} finally {
		done();
	}
}
// src/server/stream.ts
/** Publishes what a source yields: as one text if the topic is text(), and otherwise as messages. It always closes the source. */
async function stream(caller, ref, source, options) {
	const feed = new Feed(source);
	try {
		options.signal?.throwIfAborted();
		if (require_subscribe.isText(require_subscribe.schemaOf(ref))) return await streamText(caller, ref, feed, options);
		return await new LineStream(caller, ref, feed, options).run();
	} finally {
		feed.close();
	}
}
// src/server/run.ts
/**
* Creates the handle of a run. It sends nothing to the server.
*
* @throws TypeError for an attempt that is not a whole number from 1
*/
function runOf(caller, publisher, target, id, { attempt }) {
	checkAttempt(attempt);
	const channel = require_subscribe.nameOf(target);
	function set(status, { signal } = {}, outcome = {}) {
		return caller.call({
			method: "PUT",
			path: "/v1/channels/$/run",
			query: [["channel", channel]],
			body: jsonOf({
				status,
				run_id: id,
				...outcome
			}),
			once: true,
			signal
		});
	}
	function publishStep(step, ref, data, options = {}) {
		const item = stepKey(id, step).then((key) => itemOf(ref, data, {
			key,
			runId: id
		}));
		return publisher.publish(ref.channel, item, true, options);
	}
	async function streamStep(step, ref, source, { signal } = {}) {
		return stream(caller, ref, source, {
			streamId: await stepStreamId(id, step),
			attempt,
			runId: id,
			signal,
			once: true
		});
	}
	return {
		channel,
		id,
		start: async (options) => set("running", options),
		complete: async (result, options) => set("completed", options, { result }),
		fail: async (error, options) => set("failed", options, { error: error instanceof Error ? error.message : error }),
		cancel: async (options) => set("cancelled", options),
		publish: publishStep,
		stream: streamStep,
		ask: (step, ref, data, options) => ask(caller, {
			channel,
			id
		}, (call) => publishStep(step, ref, data, call), options)
	};
}
// src/server/token.ts
/** Issues a token. An attempt without an answer is repeated: a token that nobody received does no harm. */
function issue(caller, request) {
	return caller.call({
		method: "POST",
		path: "/v1/tokens",
		body: jsonOf(bodyOf(request)),
		once: true,
		signal: request.signal
	});
}
/** Uses the short form of the request if possible. */
function bodyOf({ channel, channels = [], topics, presence, publish = [], sub, ttl }) {
	const system = presence ? ["$presence"] : [];
	const subscribe = [...channel === void 0 ? [] : [channel], ...channels].map((each) => grantOf(each, topics, system));
	if (subscribe.length === 1 && !publish.length && sub === void 0) return {
		...subscribe[0],
		ttl
	};
	return {
		sub,
		ttl,
		...subscribe.length && { subscribe },
		...publish.length && { publish: byChannel(publish) }
	};
}
function grantOf(channel, topics, system) {
	const defined = require_subscribe.topicsOf(channel);
	return {
		channel: require_subscribe.nameOf(channel),
		topics: [...topics ?? (defined ? Object.keys(defined) : ["*"]), ...system]
	};
}
function byChannel(refs) {
	const topics = /* @__PURE__ */ new Map();
	for (const { channel, topic } of refs) topics.set(channel, (topics.get(channel) ?? /* @__PURE__ */ new Set()).add(topic));
	return Array.from(topics, ([channel, each]) => ({
		channel,
		topics: [...each]
	}));
}
// src/server/server.ts
/**
* Creates the client of a server. It sends nothing to the server.
*
* @throws TypeError for an invalid address or a missing API key
*/
function createServer(options) {
	const { url, apiKey, fetch, gather = !fetch, retries = 5, retryMinMs: minMs = 250, retryMaxMs: maxMs = 5e3, timeoutMs = 3e4 } = options;
	if (!url) throw new TypeError("createServer needs a url: is SLUICE_URL set?");
	if (!apiKey) throw new TypeError("createServer needs an apiKey: is SLUICE_API_KEY set?");
	const call = (input, init) => (fetch ?? unwrapped(globalThis.fetch))(input, init);
	const caller = new Caller(new URL(url), apiKey, call, {
		retries,
		minMs,
		maxMs
	}, timeoutMs);
	const publisher = gather ? new Gatherer(caller) : singly(caller);
	return {
		publish: (ref, data, publishOptions = {}) => publish(publisher, ref, data, publishOptions),
		publishMany: (items, callOptions = {}) => publishMany(caller, items, callOptions),
		stream: (ref, source, streamOptions = {}) => stream(caller, ref, source, streamOptions),
		token: (request) => issue(caller, request),
		define: (channel, defineOptions = {}) => define(caller, channel, defineOptions),
		run: (channel, runId, runOptions = {}) => runOf(caller, publisher, channel, runId, runOptions)
	};
}
/**
* Next.js wraps `fetch`. While it serves a page or an action in development, its wrapper reads a request's body
* to the end before it sends anything, which for a text is when all of it is written.
*/
function unwrapped(fetch) {
	return fetch._nextOriginalFetch ?? fetch;
}
Object.defineProperty(exports, "createServer", {
	enumerable: true,
	get: function() {
		return createServer;
	}
});
