import { t as SluiceError } from "./shared-error.js";
import { o as problemOf, r as endpoint, t as authorization } from "./shared-request.js";
import { i as faultsOf, n as backoff, r as check, t as subscribe } from "./shared-subscribe.js";
// src/server/deadline.ts
/**
* Makes a signal that follows another one and aborts by itself when the time is over.
*
* @param ms undefined: it only follows
* @param late makes the reason that it aborts with then
*/
function within(ms, outer, late) {
	const controller = new AbortController();
	const follow = () => controller.abort(outer?.reason);
	if (outer?.aborted) follow();
	outer?.addEventListener("abort", follow, { once: true });
	const timer = ms === void 0 ? void 0 : setTimeout(() => controller.abort(late?.()), ms);
	return {
		signal: controller.signal,
		done() {
			clearTimeout(timer);
			outer?.removeEventListener("abort", follow);
			controller.abort();
		}
	};
}
/** Waits. It throws the signal's reason when that aborts. */
function wait(ms, signal) {
	return new Promise((resolve, reject) => {
		const abort = () => {
			clearTimeout(timer);
			reject(signal?.reason);
		};
		const timer = setTimeout(() => {
			signal?.removeEventListener("abort", abort);
			resolve();
		}, ms);
		if (signal?.aborted) return abort();
		signal?.addEventListener("abort", abort, { once: true });
	});
}
/**
* Waits for a promise, but no longer than until the signal aborts: then it throws the signal's
* reason. The body of a response needs it too: in Node 20 a read hangs if the abort comes together
* with the body's end.
*/
async function orAbort(promise, signal) {
	if (!signal) return promise;
	promise.catch(() => void 0);
	let abort;
	const aborted = new Promise((_, reject) => {
		abort = () => {
			reject(signal.reason);
		};
		if (signal.aborted) abort();
		else signal.addEventListener("abort", abort);
	});
	try {
		return await Promise.race([aborted, promise]);
	} finally {
		signal.removeEventListener("abort", abort);
	}
}
// src/server/retry.ts
/**
* Whether a request that failed may be made again.
*
* @param once it has the same effect however often it is made: a read, or a publish under a key.
*   Anything else is repeated only when it is certain that nothing was done: at 429, and at a 503
*   that is the server's own word. A gateway's 503 may come after the server had the request.
*/
function mayRepeat({ code, status }, once) {
	if (status === 429 || status === 503 && code !== "http-503") return true;
	return once && (code === "network" || [
		408,
		502,
		503,
		504
	].includes(status));
}
/** Waits before the next attempt: with full jitter, but as long as the server asks for. */
function pause({ minMs, maxMs }, failures, error, signal) {
	return wait(backoff(failures, minMs, maxMs, error.retryAfterMs), signal);
}
/** Makes attempts until one succeeds or {@link mayRepeat} says no. It throws the last error. */
async function retrying(policy, { once, signal }, attempt) {
	for (let failures = 0;; failures++) try {
		return await attempt();
	} catch (error) {
		if (!(error instanceof SluiceError) || failures >= policy.retries || !mayRepeat(error, once)) throw error;
		await pause(policy, failures, error, signal);
	}
}
// src/server/caller.ts
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
	/** Makes a request until it succeeds or cannot be repeated, and reads the answer. */
	call(question) {
		return retrying(this.policy, {
			once: question.once,
			signal: question.signal
		}, () => this.attempt(question));
	}
	/** Makes a request once. It throws a {@link SluiceError}, or the signal's reason. */
	async attempt({ method, path, query = [], body, once, signal: outer }) {
		const url = endpoint(this.url, path);
		for (const [name, value] of query) url.searchParams.append(name, value);
		const { signal, done } = within(this.timeoutMs, outer, () => unanswered(once, /* @__PURE__ */ new Error(`no answer within ${this.timeoutMs} ms`)));
		try {
			return await orAbort((await this.send(url, {
				method,
				signal,
				...body !== void 0 && { body }
			}, body && "application/json")).json(), signal);
		} catch (cause) {
			if (signal.aborted) throw signal.reason;
			if (cause instanceof SyntaxError) throw new SluiceError("invalid-answer", "The answer is not JSON", { cause });
			throw cause instanceof SluiceError ? cause : unanswered(once, cause);
		} finally {
			done();
		}
	}
	/**
	* Sends one request with the credential. An answer other than a success is thrown as a
	* {@link SluiceError}; what `fetch` throws is passed on.
	*
	* The fields of a request that only browsers have a use for are left out, since some runtimes at
	* the edge refuse them.
	*/
	async send(url, init, contentType) {
		const { fetch } = this;
		const headers = {
			...authorization(this.apiKey),
			...contentType && { "Content-Type": contentType }
		};
		const response = await fetch(url, {
			...init,
			headers
		});
		if (!response.ok) throw await problemOf(response);
		return response;
	}
};
/** The error of a request that no answer came to. It has been found out by nobody whether it happened. */
function unanswered(once, cause) {
	return new SluiceError("network", `The server gave no answer${once ? "" : "; it may have happened all the same, and is not repeated: with a key it could be"}`, { cause });
}
// src/server/item.ts
/**
* Checks a message by its topic's schema and writes it as the server reads it, as JSON on one line.
*
* What is sent is the data as it was given and not what the schema makes of it: subscribers run the
* schema again, and it may not accept its own output.
*
* @throws SluiceError of status 0: `schema-violation` with the place of each fault, or `malformed`
*   for what JSON cannot express
*/
async function itemOf(ref, data, { key, runId }) {
	const { channel, topic, schema } = ref;
	const result = await check(schema, data);
	if (result.issues) {
		const errors = faultsOf(result);
		const detail = errors.map((each) => each.pointer ? `${each.pointer}: ${each.detail}` : each.detail).join("; ");
		throw new SluiceError("schema-violation", `The data breaks the schema of ${topic}: ${detail}`, {
			detail,
			errors
		});
	}
	return jsonOf({
		channel,
		topic,
		data: written(data, topic),
		run_id: runId,
		idempotency_key: key
	});
}
/**
* Writes a value as JSON.
*
* @throws SluiceError `malformed`
*/
function jsonOf(value) {
	try {
		return JSON.stringify(value);
	} catch (cause) {
		throw new SluiceError("malformed", `The data cannot be written as JSON: ${String(cause)}`, { cause });
	}
}
/** Refuses what JSON.stringify would leave out without a word. */
function written(data, topic) {
	if (data === void 0 || typeof data === "function" || typeof data === "symbol") throw new SluiceError("malformed", `The data for ${topic} is ${typeof data}, which JSON cannot express`);
	return data;
}
/** Reads what the server answers to one of several items: a receipt, or a problem, which alone has a status. */
async function resultOf(answer) {
	if (!("status" in answer)) return answer;
	return problemOf(new Response(jsonOf(answer), { status: answer.status }));
}
// src/server/jsonschema.ts
/** The version of JSON Schema that the server speaks. */
const TARGET = "draft-2020-12";
/**
* Finds the JSON Schema of a topic: the one that its definition gives, or what the converter makes,
* or what the validator itself does. undefined: there is none.
*
* @throws SluiceError `bad-schema` if the validator cannot express its schema
*/
function jsonSchemaOf(topic, { schema, jsonSchema }, convert) {
	if (jsonSchema) return jsonSchema;
	const { vendor, jsonSchema: own } = schema["~standard"];
	if (vendor === "sluice") return void 0;
	try {
		const made = convert ? convert(schema, {
			io: "input",
			typeMode: "input",
			target: TARGET
		}) : own?.input({ target: TARGET });
		return made && portable(made);
	} catch (cause) {
		throw new SluiceError("bad-schema", `The schema of ${topic} cannot be written as a JSON Schema; give its jsonSchema instead: ${String(cause)}`, { cause });
	}
}
/** Keywords whose values are data and not schemas. */
const DATA = [
	"const",
	"enum",
	"default",
	"examples"
];
/**
* Copies a schema without the patterns that the server's expressions (RE2) cannot say because they
* look around, where a format stands beside them that says the same.
*/
function portable(node) {
	if (typeof node !== "object" || node === null) return node;
	if (Array.isArray(node)) return node.map(portable);
	const { pattern, format } = node;
	const left = typeof pattern === "string" && typeof format === "string" && /\(\?<?[=!]/.test(pattern) ? "pattern" : void 0;
	return Object.fromEntries(Object.entries(node).filter(([key]) => key !== left).map(([key, value]) => [key, DATA.includes(key) ? value : portable(value)]));
}
// src/server/define.ts
/** Adds or replaces a definition, as a whole. */
async function define(caller, channel, options) {
	const { name = channel.$template, strict, replay, toJSONSchema, signal } = options;
	const topics = Object.fromEntries(Object.entries(channel.$topics).map(([topic, definition]) => [topic, { schema: jsonSchemaOf(topic, definition, toJSONSchema) }]));
	return caller.call({
		method: "PUT",
		path: `/v1/schemas/${encodeURIComponent(name)}`,
		once: true,
		signal,
		body: jsonOf({
			topics,
			strict,
			replay
		})
	});
}
// src/server/batch.ts
/** How many messages the server takes in one request. */
const MAX_ITEMS = 1e3;
/**
* How many bytes go into one request, unless a single message is longer. The server takes more; this
* is what proxies let through that were not told otherwise.
*/
const MAX_BYTES$1 = 524288;
/** Publishes messages in as few requests as the limits allow, one after the other, and notes each result in its place. */
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
	/** Adds a message. It may send those before it. */
	async add(index, json, once) {
		const bytes = new TextEncoder().encode(json).length + 1;
		if (this.#entries.length === MAX_ITEMS || this.#bytes + bytes > MAX_BYTES$1) await this.flush();
		this.#entries.push({
			index,
			json,
			bytes,
			once
		});
		this.#bytes += bytes;
	}
	/** Sends what waits. */
	async flush() {
		const entries = this.#entries;
		this.#entries = [];
		this.#bytes = 0;
		await this.#settle(entries);
	}
	/** Publishes entries, and again those that failed for the moment, until all have their result. */
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
				if (!(outcome instanceof SluiceError) || !mayRepeat(outcome, entry.once)) continue;
				again.push(entry);
				last = outcome;
			}
			if (!last || failures >= policy.retries) return;
			await pause(policy, failures, last, this.options.signal);
			pending = again;
		}
	}
	/** Sends one request. undefined: it is too large as a whole. */
	async #attempt(entries) {
		try {
			const body = `[${entries.map(({ json }) => json).join()}]`;
			const once = entries.every((entry) => entry.once);
			const answers = await this.caller.attempt({
				...this.options,
				method: "POST",
				path: "/v1/publish",
				body,
				once
			});
			if (!Array.isArray(answers) || answers.length !== entries.length) throw new SluiceError("invalid-answer", "The answer does not have a result for each message");
			return await Promise.all(answers.map(resultOf));
		} catch (error) {
			if (!(error instanceof SluiceError)) throw error;
			return error.status === 413 && entries.length > 1 ? void 0 : entries.map(() => error);
		}
	}
	/** Goes on in two parts, so that of a server or proxy with lower limits only what is too large by itself is refused. */
	async #halve(entries) {
		const middle = entries.length >> 1;
		await this.#settle(entries.slice(0, middle));
		await this.#settle(entries.slice(middle));
	}
};
// src/server/publish.ts
/** Publishes one message. Channel and topic go into the body, so that no name can be taken for a part of a path. */
async function publish(caller, ref, data, options) {
	const body = await itemOf(ref, data, options);
	return caller.call({
		method: "POST",
		path: "/v1/publish",
		body,
		once: options.key !== void 0,
		signal: options.signal
	});
}
/** Publishes messages in their order. What becomes of each stands in its place. */
async function publishMany(caller, items, options) {
	const results = [];
	const batch = new Batch(caller, options, results);
	for (const [index, { ref, data, ...attributes }] of items.entries()) try {
		await batch.add(index, await itemOf(ref, data, attributes), attributes.key !== void 0);
	} catch (error) {
		if (!(error instanceof SluiceError)) throw error;
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
/** How many messages the server gives at a time. */
const PAGE = 1e3;
/** Asks and waits. Only what comes after the question's own position can be its answer. */
async function ask(caller, run, publish, options) {
	const { timeout, reply } = options;
	const late = () => new SluiceError("timeout", `No answer came on ${reply.topic} of ${reply.channel} within ${timeout} ms`);
	const { signal, done } = within(timeout, options.signal, late);
	try {
		const { id } = await publish({ signal });
		const held = await heldAnswer(caller, options, id, signal);
		const { data } = "data" in held ? held : await nextAnswer(caller, run, options, held.position, signal);
		return data;
	} finally {
		done();
	}
}
/** Looks for the answer among what the server holds. Without one it returns the position up to which it has looked. */
async function heldAnswer(caller, options, question, signal) {
	const { reply } = options;
	const path = `/v1/channels/${encodeURIComponent(reply.channel)}/messages`;
	let position = question;
	for (;;) {
		const page = await caller.call({
			method: "GET",
			path,
			once: true,
			signal,
			query: Object.entries({
				topic: reply.topic,
				after: position,
				limit: String(PAGE)
			})
		});
		if (page.gap) throw gapError(reply.channel);
		for (const message of page.messages) {
			const answer = await answerOf(message, options);
			if (answer) return answer;
			position = message.id;
		}
		if (!page.next) return { position };
		position = page.next;
	}
}
/** Waits for the answer among what is published after a position. */
function nextAnswer(caller, run, options, position, signal) {
	const { reply } = options;
	const { url, apiKey, fetch, policy } = caller;
	return new Promise((resolve, reject) => {
		const subscription = subscribe({
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
/** Whether a status is that of the asker's run. One without an id is of whatever job its channel is for, which is told of the asker's channel only if that is the only one. */
function concerns({ run_id }, run, reply) {
	return run_id === void 0 ? run.channel === reply.channel : run_id === run.id;
}
/** Takes a message for the answer if it is one: data of the reply topic that fits its schema and that matches. */
async function answerOf(message, { reply, match }) {
	if (message.kind !== "data" || message.topic !== reply.topic) return void 0;
	const result = await check(reply.schema, message.data);
	if (result.issues || match && !match(result.value)) return void 0;
	return { data: result.value };
}
function gapError(channel) {
	return new SluiceError("gap", `Messages of ${channel} are lost that the answer may be among`);
}
function endError({ id }, { status }) {
	return new SluiceError("run-ended", `The run ${id} is ${status}; nobody waits for an answer any more`, { detail: status });
}
// src/server/key.ts
/** The longest key that the server takes, in bytes. */
const MAX_BYTES = 255;
/**
* The key under which a step of a run publishes: the same in every SDK, and different for different
* pairs. It is `run:RUN:STEP` with both percent-encoded, or its hash where that is too long.
*/
async function stepKey(runId, stepId) {
	const key = `run:${encode(runId)}:${encode(stepId)}`;
	if (key.length <= MAX_BYTES) return key;
	const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(key));
	return `run:sha256:${Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
/** Percent-encodes every byte of the UTF-8 text but `A-Z a-z 0-9 _ . -`. */
function encode(text) {
	const one = (byte) => {
		const char = String.fromCharCode(byte);
		return /[A-Za-z0-9_.-]/.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
	};
	return Array.from(new TextEncoder().encode(text), one).join("");
}
// src/server/run.ts
/** Makes the handle of a run. It asks the server for nothing. */
function runOf(caller, target, id) {
	const channel = typeof target === "string" ? target : target.$name;
	function set(status, { signal } = {}, outcome = {}) {
		const path = `/v1/channels/${encodeURIComponent(channel)}/run`;
		return caller.call({
			method: "PUT",
			path,
			body: jsonOf({
				status,
				run_id: id,
				...outcome
			}),
			once: true,
			signal
		});
	}
	async function publishStep(step, ref, data, { signal } = {}) {
		return publish(caller, ref, data, {
			key: await stepKey(id, step),
			runId: id,
			signal
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
		ask: (step, ref, data, options) => ask(caller, {
			channel,
			id
		}, (call) => publishStep(step, ref, data, call), options)
	};
}
// src/server/feed.ts
/** Takes the values of a source, one at a time. */
var Feed = class {
	#iterator;
	#next;
	#closed = false;
	/** @throws TypeError for what is no source */
	constructor(source) {
		const whole = typeof source === "string" || source instanceof Uint8Array ? [source] : source;
		if (Symbol.asyncIterator in whole) this.#iterator = whole[Symbol.asyncIterator]();
		else if (Symbol.iterator in whole) this.#iterator = whole[Symbol.iterator]();
		else throw new TypeError("The source is neither iterable nor a ReadableStream");
	}
	/** The next value, which stays the next one. */
	peek() {
		this.#next ??= this.#step();
		this.#next.catch(() => void 0);
		return this.#next;
	}
	/** The next value. What the source throws is thrown here. */
	next() {
		const next = this.peek();
		this.#next = void 0;
		return next;
	}
	/**
	* Tells the source that nothing more will be taken of it. That is not waited for, since a source
	* that is busy with its next value would hear of it only afterwards.
	*/
	close() {
		if (this.#closed) return;
		this.#closed = true;
		(async () => this.#iterator.return?.())().catch(() => void 0);
	}
	async #step() {
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
// src/server/ndjson.ts
/** Reads the lines of a body, without their ends, as they arrive. Empty ones are left out. */
async function* linesOf(body) {
	if (!body) return;
	const reader = body.getReader();
	const decoder = new TextDecoder();
	let rest = "";
	try {
		for (;;) {
			const { done, value } = await reader.read();
			const lines = (rest + decoder.decode(value, { stream: !done })).split("\n");
			rest = done ? "" : lines.pop();
			for (const line of lines) if (line.trim()) yield line;
			if (done) return;
		}
	} finally {
		reader.releaseLock();
	}
}
// src/server/pieces.ts
/** Encodes a text that comes in pieces, as strings or as bytes. */
var PieceEncoder = class {
	#high = "";
	/**
	* @returns what can be sent of it by now; it may be nothing
	* @throws TypeError for what is no text
	*/
	encode(piece) {
		if (piece instanceof Uint8Array) return this.#high ? join(this.end(), piece) : piece;
		if (typeof piece !== "string") throw new TypeError(`A piece of a text is of type ${typeof piece}: neither a string nor a Uint8Array`);
		const text = this.#high + piece;
		this.#high = /[\uD800-\uDBFF]$/.test(text) ? text.slice(-1) : "";
		return new TextEncoder().encode(this.#high ? text.slice(0, -1) : text);
	}
	/** What is left: half a character, as U+FFFD. */
	end() {
		const rest = new TextEncoder().encode(this.#high);
		this.#high = "";
		return rest;
	}
};
function join(a, b) {
	const whole = new Uint8Array(a.length + b.length);
	whole.set(a);
	whole.set(b, a.length);
	return whole;
}
// src/server/text.ts
/** Sends a text as the body of one request, piece by piece as the source gives it. */
async function streamText(caller, { channel, topic }, feed, { runId, signal }) {
	const url = endpoint(caller.url, `/v1/publish/${encodeURIComponent(channel)}/${encodeURIComponent(topic)}/stream`);
	if (runId !== void 0) url.searchParams.set("run_id", runId);
	let failure;
	const body = bodyOf$1(feed, (error) => failure = { error });
	try {
		return await orAbort((await caller.send(url, {
			method: "POST",
			body,
			signal: signal ?? null,
			...HALF
		})).json(), signal);
	} catch (cause) {
		if (signal?.aborted) throw signal.reason;
		if (failure) throw failure.error;
		throw cause instanceof SluiceError ? cause : new SluiceError("network", "The connection broke off; subscribers see the text as aborted", { cause });
	} finally {
		feed.close();
	}
}
/** `fetch` wants to be told that the body is a stream. */
const HALF = { duplex: "half" };
/** Makes a body that takes from the source only what is sent. If the source fails the body breaks off, and subscribers are told. */
function bodyOf$1(feed, onFailure) {
	const encoder = new PieceEncoder();
	async function pull(controller) {
		for (;;) {
			const step = await feed.next();
			const bytes = step.done ? encoder.end() : encoder.encode(step.value);
			if (bytes.length) controller.enqueue(bytes);
			if (step.done) controller.close();
			if (step.done || bytes.length) return;
		}
	}
	return new ReadableStream({ async pull(controller) {
		try {
			await pull(controller);
		} catch (error) {
			onFailure(error);
			controller.error(error);
		}
	} }, { highWaterMark: 0 });
}
// src/server/lines.ts
/**
* How many messages may be without an answer. Their receipts fit into the buffers on the way, so
* that nobody is stuck where they cannot be read before all has been sent.
*/
const WINDOW = 512;
/**
* How long after the first line the answer may take to begin. When it has not, the runtime (or a
* proxy) holds it back until the request is complete, or the server refuses it and waits for its
* end: either way the request is ended then, and the rest goes into another one.
*/
const PATIENCE_MS = 1e3;
/** Sends messages as lines of one request as they come, and reads the results meanwhile. */
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
	/** Publishes all that the source gives. It rejects if the connection breaks off, and with what the source throws. */
	async run() {
		const { signal } = this.options;
		try {
			while (await orAbort(this.#next(), signal)) await this.#exchange();
			if (this.#failure) throw this.#failure.error;
			return this.#results;
		} finally {
			this.feed.close();
		}
	}
	/** The next line to send, which stays the next one until it is taken; undefined: that was all. */
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
					json: await itemOf(this.ref, step.value, { runId: this.options.runId })
				};
			} catch (error) {
				this.#results[index] = error;
			}
		}
	}
	/** Makes one request and reads its answer to the end. */
	async #exchange() {
		const exchange = newExchange();
		const { signal: outer } = this.options;
		const { signal, done } = within(void 0, outer);
		const body = new ReadableStream({ pull: (controller) => this.#pull(controller, exchange) }, { highWaterMark: 0 });
		try {
			const url = endpoint(this.caller.url, "/v1/publish");
			const response = await this.caller.send(url, {
				method: "POST",
				body,
				signal,
				...HALF
			}, "application/x-ndjson");
			if (!exchange.sent) this.#duplex = true;
			exchange.answering = true;
			exchange.begin();
			await orAbort(this.#read(response), signal);
			if (!exchange.sent || this.#unanswered.length) throw this.#brokenOff();
		} catch (cause) {
			if (outer?.aborted) throw outer.reason;
			throw cause instanceof SluiceError ? cause : this.#brokenOff(cause);
		} finally {
			clearTimeout(exchange.timer);
			done();
		}
	}
	/** Gives the request its next line, or its end. */
	async #pull(controller, exchange) {
		const line = await this.#lineFor(exchange);
		if (!line) {
			exchange.sent = true;
			controller.close();
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
	/** Waits for room and for the next line. undefined: the request is to end. */
	async #lineFor(exchange) {
		while (this.#unanswered.length >= WINDOW) if (exchange.answering) await new Promise((resolve) => this.#onAnswer = resolve);
		else if (this.#duplex && !exchange.late) await exchange.begun;
		else return void 0;
		return (exchange.answering ? void 0 : await Promise.race([this.#next(), exchange.begun])) ?? (exchange.answering ? this.#next() : void 0);
	}
	async #read({ body }) {
		for await (const line of linesOf(body)) await this.#take(line);
	}
	/** Takes a line of the answer. One more than there were messages is the server's last word. */
	async #take(line) {
		const result = await resultOf(JSON.parse(line));
		const index = this.#unanswered.shift();
		if (result instanceof SluiceError) this.#problem = result;
		if (index !== void 0) this.#results[index] = result;
		else if (result instanceof SluiceError) throw result;
		this.#onAnswer();
	}
	#brokenOff(cause = this.#problem) {
		const answered = this.#results.filter(Boolean).length;
		return new SluiceError("network", `The stream broke off when ${answered} of ${this.#count} messages had their result`, { cause });
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
		timer: void 0
	};
}
// src/server/stream.ts
/** Publishes what a source gives: as one text, or as messages. The source is closed in any case. */
async function stream(caller, ref, source, options) {
	const feed = new Feed(source);
	try {
		if ((options.kind ?? kindOf(await orAbort(feed.peek(), options.signal))) === "stream") return await streamText(caller, ref, feed, options);
		return await new LineStream(caller, ref, feed, options).run();
	} finally {
		feed.close();
	}
}
function kindOf({ done, value }) {
	return done || typeof value === "string" || value instanceof Uint8Array ? "stream" : "data";
}
// src/server/token.ts
/** Makes a token. An attempt without an answer is repeated: a token that nobody has received harms nobody. */
function issue(caller, request) {
	return caller.call({
		method: "POST",
		path: "/v1/tokens",
		body: jsonOf(bodyOf(request)),
		once: true,
		signal: request.signal
	});
}
/** Writes a request in the short form where that is possible. */
function bodyOf({ channel, channels = [], topics, publish = [], sub, ttl }) {
	const subscribe = [...channel === void 0 ? [] : [channel], ...channels].map((each) => grantOf(each, topics));
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
function grantOf(channel, topics) {
	if (typeof channel === "string") return {
		channel,
		topics: topics ?? ["*"]
	};
	return {
		channel: channel.$name,
		topics: topics ?? Object.keys(channel.$topics)
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
* Makes the client of a server. It asks the server for nothing.
*
* @throws TypeError for an address that is none, and without an API key
*/
function createServer(options) {
	const { url, apiKey, fetch, retries = 5, retryMinMs: minMs = 250, retryMaxMs: maxMs = 5e3, timeoutMs = 3e4 } = options;
	if (!apiKey) throw new TypeError("createServer needs an apiKey");
	const call = (input, init) => (fetch ?? globalThis.fetch)(input, init);
	const caller = new Caller(new URL(url), apiKey, call, {
		retries,
		minMs,
		maxMs
	}, timeoutMs);
	return {
		publish: (ref, data, publishOptions = {}) => publish(caller, ref, data, publishOptions),
		publishMany: (items, callOptions = {}) => publishMany(caller, items, callOptions),
		stream: (ref, source, streamOptions = {}) => stream(caller, ref, source, streamOptions),
		token: (request) => issue(caller, request),
		define: (channel, defineOptions = {}) => define(caller, channel, defineOptions),
		run: (channel, runId) => runOf(caller, channel, runId)
	};
}
export { SluiceError, createServer };
