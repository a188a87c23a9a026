Object.defineProperty(exports, Symbol.toStringTag, { value: "Module" });
const require_abort = require("./shared-abort.cjs");
const require_retry = require("./shared-retry.cjs");
const require_request = require("./shared-request.cjs");
const require_subscribe = require("./shared-subscribe.cjs");
const require_publish = require("./publish.cjs");
// src/ai/parts.ts
/**
* Returns the text in an item of a stream: a string; a chunk of a chat completion, or an event of a response, as OpenAI
* and servers compatible with it send them; an event of a message of Anthropic; a chunk of a message of LangChain; a
* chunk or an event of LlamaIndex. undefined: it may be a part.
*/
function textIn(item) {
	if (typeof item === "string") return item;
	const { type, choices, content, delta, data } = Object(item);
	if (choices) return choices[0]?.delta?.content ?? choices[0]?.text ?? "";
	if (content !== void 0) return typeof content === "string" ? content : content.map(({ text = "" }) => text).join("");
	if (type === void 0) return typeof delta === "string" ? delta : data?.delta ?? "";
	if (type === "response.output_text.delta") return delta;
	if (type === "content_block_delta") return delta.text ?? "";
	return /^(?!data-).*[._]/.test(type) ? "" : void 0;
}
/**
* Yields the texts of a stream: of strings, of a chat completion or a response of OpenAI or a server that is compatible, of
* a message of Anthropic, of LangChain or of LlamaIndex. What has no text, such as the call of a tool, is left out.
*
* @example await sluice.stream(chat.draft, textOf(await openai.chat.completions.create({ ...request, stream: true })));
*/
async function* textOf(source) {
	for await (const item of source) {
		const text = textIn(item) ?? "";
		if (text) yield text;
	}
}
/** Yields the parts of a stream of parts, or makes parts of the texts of any other. Readers know the answer by its id. */
async function* partsOf(source, messageId) {
	const id = "text";
	let begun = false;
	for await (const item of source) {
		const delta = textIn(item);
		if (delta === void 0) yield item.type === "start" ? {
			messageId,
			...item
		} : item;
		if (!delta) continue;
		if (!begun) yield* [{
			type: "start",
			messageId
		}, {
			type: "text-start",
			id
		}];
		begun = true;
		yield {
			type: "text-delta",
			id,
			delta
		};
	}
	if (begun) yield* [{
		type: "text-end",
		id
	}, { type: "finish" }];
}
// src/ai/encoding.ts
/** Ends a string in the text. */
const SEPARATOR = "";
/** The types of parts after which a string may follow in the text, and the field that it is of. */
const GROWING = /^(text|reasoning|tool-input)-(start|delta)$/;
function fieldOf({ type }) {
	return type === "tool-input-delta" ? "inputTextDelta" : "delta";
}
/** Returns the part of which the string after a line is. It lacks the string. undefined: no string follows the line. */
function continued(line) {
	const { type, id, toolCallId } = line;
	const [, kind, what] = GROWING.exec(type) ?? [];
	if (what === "delta") return fieldOf(line) in line ? void 0 : line;
	return what ? {
		type: `${kind}-delta`,
		...id === void 0 ? { toolCallId } : { id }
	} : void 0;
}
/**
* Writes parts as a text that is hardly longer than the answer, and that grows with each part.
*
* A part is a line of JSON. The strings of parts such as `text-delta` follow, joined and as they are, the line of their start, or
* if something came in between or they have metadata, a line with all but the string. U+001E ends them. The input of a tool is left
* out if it is what the strings before it say.
*/
async function* encode(parts) {
	const inputs = inputsOfTools();
	let head;
	yield "\n";
	for await (const part of parts) {
		const { [fieldOf(part)]: fresh, ...own } = part;
		const line = JSON.stringify(own);
		const grows = line === head;
		const end = head === void 0 ? "" : SEPARATOR;
		inputs.add(part);
		if (GROWING.test(part.type) && typeof fresh === "string" && (fresh || grows) && !/[\x1e\p{Cs}]/u.test(fresh)) {
			yield (grows ? "" : `${end}${line}\n`) + fresh;
			head = line;
		} else {
			const { input, ...others } = part;
			const known = part.type === AVAILABLE && JSON.stringify(inputs.get(part)) === JSON.stringify(input);
			yield `${end}${JSON.stringify(known ? others : part)}\n`;
			const next = continued(part);
			head = next && JSON.stringify(next);
		}
	}
}
const AVAILABLE = "tool-input-available";
/** The inputs of tools, as their strings say. */
function inputsOfTools() {
	const inputs = /* @__PURE__ */ new Map();
	return {
		add({ type, toolCallId, inputTextDelta }) {
			if (type === "tool-input-delta") inputs.set(toolCallId, `${inputs.get(toolCallId) ?? ""}${String(inputTextDelta)}`);
		},
		get({ toolCallId }) {
			try {
				return JSON.parse(inputs.get(toolCallId));
			} catch {
				return;
			}
		}
	};
}
/** Reads the text that {@link encode} writes, in pieces of any length. It reports each part, and what has come of each string, at once. */
function decoder(report) {
	const inputs = inputsOfTools();
	let rest = "";
	let string;
	function take(part) {
		inputs.add(part);
		report(part);
	}
	function takeLine(line) {
		if (!line) return;
		const part = JSON.parse(line);
		string = continued(part);
		if (part === string) return;
		take(part.type === AVAILABLE && !("input" in part) ? {
			...part,
			input: inputs.get(part)
		} : part);
	}
	function takeString(fresh) {
		if (fresh) take({
			...string,
			[fieldOf(string)]: fresh
		});
	}
	return (piece) => {
		rest += piece;
		for (let end; (end = rest.indexOf(string ? SEPARATOR : "\n")) >= 0; rest = rest.slice(end + 1)) {
			const whole = rest.slice(0, end);
			if (!string) takeLine(whole);
			else {
				takeString(whole);
				string = void 0;
			}
		}
		if (!string) return;
		takeString(rest);
		rest = "";
	};
}
// src/ai/topics.ts
/**
* The topics of a channel that carries answers. Pages read `answer`. To stop an answer, a page publishes to
* `control`, so a token that may stop answers grants publishing to it.
*
* @example channel({ name: ({ id }: { id: string }) => `chat:${id}`, topics: answerTopics })
*/
const answerTopics = {
	answer: require_subscribe.text(),
	control: { schema: /* @__PURE__ */ require_subscribe.staticSchema() }
};
/** The step of a run under which an answer is published. */
const STEP = "answer";
// src/ai/publish.ts
/** How long a source may go on after it was told to stop. */
const STOP_MS = 5e3;
/** How long to wait before the server is asked for stops again. */
const RETRY_MS = 1e3;
/**
* Publishes an answer while it is generated. Readers get its parts, whether they come early, in the
* middle or after the end.
*
* The source is called with a signal that aborts when a reader stops the answer (`SluiceChatTransport.stop`). Give it to the
* model. It is not called if the answer is complete already.
*
* It is fulfilled when the answer has begun, and rejects if the server cannot be reached.
*
* @param source returns a UI message stream of the AI SDK, or any stream that {@link textOf} takes
*/
async function publishAnswer(sluice, channel, source, { id = crypto.randomUUID(), attempt, retries, onError = () => "An error occurred." } = {}) {
	const run = sluice.run(channel.$name, id, { attempt });
	const stop = new AbortController();
	const over = new AbortController();
	const { signal } = stop;
	async function* parts() {
		try {
			yield* withLimit(partsOf(await source({
				id,
				signal
			}), id), signal);
		} catch (error) {
			if (signal.aborted) yield { type: "abort" };
			else if (retries) throw error;
			else yield {
				type: "error",
				errorText: onError(error)
			};
		}
	}
	await run.publish(STEP, channel.control, { begin: id });
	untilStopped(run, channel, over.signal).then((stopped) => stopped && stop.abort());
	const done = run.stream(STEP, channel.answer, encode(parts())).finally(() => over.abort());
	done.catch(() => stop.abort());
	return {
		id,
		done
	};
}
/** Waits until a reader stops the answer. It returns false if nobody does before the signal aborts, or the server refuses to say. */
async function untilStopped(run, { control }, signal) {
	const match = ({ stop }) => stop === run.id;
	for (let step = STEP;;) try {
		await run.ask(step, control, { begin: run.id }, {
			reply: control,
			match,
			signal
		});
		return true;
	} catch (error) {
		const { code } = error;
		if (signal.aborted || !(code === "gap" || require_retry.mayRepeat(error, true))) return false;
		if (code === "gap") step += "'";
		else await require_retry.wait(RETRY_MS, signal).catch(() => void 0);
	}
}
/** Yields what a source yields, but some time after the signal has aborted it throws. A model may not listen to the signal. */
async function* withLimit(source, signal) {
	const late = new AbortController();
	let cancel;
	const limit = () => {
		cancel = require_request.after(STOP_MS, () => late.abort());
	};
	signal.addEventListener("abort", limit);
	try {
		for (;;) {
			const step = await require_abort.orAbort(source.next(), late.signal);
			if (step.done) return;
			yield step.value;
		}
	} finally {
		signal.removeEventListener("abort", limit);
		cancel?.();
		source.return(void 0).catch(() => void 0);
	}
}
// src/ai/answers.ts
/** Subscribes to the answers of a chat. */
function readAnswers({ $name }, connect, { onBegin, onChunk, onEnd }) {
	const answers = /* @__PURE__ */ new Map();
	let close;
	const live = new Promise((resolve, reject) => {
		close = require_subscribe.subscribe({
			...connect,
			channel: $name,
			topics: ["answer"],
			replay: "latest",
			onLive: resolve,
			onMessage(message) {
				const { run_id: id } = message;
				if (message.kind !== "stream" || !id) return;
				const answer = {
					id,
					text: message,
					offered: false,
					done: false
				};
				for (const { id, text } of answers.values()) if (text.state !== "open") answers.delete(id);
				answers.delete(id);
				answers.set(id, answer);
				onBegin(answer);
			},
			onChunk(message, chunk) {
				const answer = answers.get(message.run_id);
				if (answer?.text.stream_id !== message.stream_id) return;
				answer.text = message;
				onChunk(answer, chunk);
			},
			onStatus(status, { error }) {
				if (status !== "closed" && status !== "error") return;
				reject(error ?? /* @__PURE__ */ new Error("The subscription has ended"));
				if (error) onEnd(error);
			}
		}).close;
	});
	live.catch(() => void 0);
	return {
		get: (id) => answers.get(id),
		latest: () => [...answers.values()].at(-1),
		live,
		close
	};
}
// src/ai/reader.ts
/**
* Parts that were passed on cannot be taken back. So if the answer begins anew after that, the stream ends.
*
* @param retryWaitMs how long to wait for the next attempt when the publisher was lost
* @param anew returns the error with which the stream ends when the answer begins anew
* @param onEnd is called once
*/
function createReader(retryWaitMs, anew, onEnd) {
	let to;
	let parse;
	let begun = false;
	let giveUp;
	let current;
	let ended = false;
	const reader = {
		parts: new ReadableStream({
			start: (controller) => void (to = controller),
			cancel() {
				if (current) current.done = false;
				reader.end();
			}
		}),
		begin(answer) {
			if (begun) return reader.end(anew());
			parse = decoder((part) => {
				begun = true;
				to.enqueue(part);
			});
			reader.grow(answer, answer.text.text);
		},
		grow(answer, chunk) {
			const { state, partial } = answer.text;
			current = answer;
			answer.offered = true;
			giveUp?.();
			if (partial || /^(a|s)/.test(state)) {
				giveUp = require_request.after(retryWaitMs, () => reader.end(/* @__PURE__ */ new Error("The answer broke off")));
				return;
			}
			parse(chunk);
			if (state !== "complete") return;
			answer.done = true;
			reader.end();
		},
		end(error) {
			if (ended) return;
			ended = true;
			giveUp?.();
			if (error) to.error(error);
			else to.close();
			onEnd();
		}
	};
	return reader;
}
// src/ai/chat.ts
/** How long to wait for the next attempt. */
const RETRY_WAIT_MS = 1e4;
/** @param onUnused is called when nobody uses the chat any more, or nobody can */
function openChat(chatId, options, onUnused) {
	const { channel, isShown, retryWaitMs = RETRY_WAIT_MS } = options;
	const readers = /* @__PURE__ */ new Map();
	const asked = /* @__PURE__ */ new Set();
	const followers = /* @__PURE__ */ new Set();
	let users = 0;
	let refusal;
	const answers = readAnswers(channel(chatId), options, {
		onBegin(answer) {
			readers.get(answer.id)?.begin(answer);
			offer();
		},
		onChunk: (answer, chunk) => readers.get(answer.id)?.grow(answer, chunk),
		onEnd(error) {
			refusal = error;
			onUnused();
			readers.forEach((reader) => reader.end(error));
		}
	});
	function release() {
		if (--users) return;
		answers.close();
		onUnused();
	}
	/** Keeps the subscription until the work is done. */
	async function using(work) {
		users++;
		return work().finally(release);
	}
	/** Returns the latest answer if the page lacks it. */
	function missing() {
		const answer = answers.latest();
		if (answer?.text.state === "open") return answer;
		return answer?.text.complete && !answer.done && !isShown?.(answer.id, chatId) ? answer : void 0;
	}
	/** Tells the followers of an answer that the page lacks, once. */
	function offer() {
		answers.live.then(() => {
			const answer = missing();
			if (!answer || answer.offered || asked.size || readers.size) return;
			for (const follower of followers) {
				answer.offered = true;
				follower();
			}
		}, () => void 0);
	}
	function read(id, signal) {
		const anew = () => followers.size ? new DOMException("The answer begins anew", "AbortError") : /* @__PURE__ */ new Error("The answer begins anew: follow() shows it");
		const leave = () => reader.end();
		const reader = createReader(retryWaitMs, anew, () => {
			signal?.removeEventListener("abort", leave);
			if (readers.get(id) === reader) readers.delete(id);
			offer();
			release();
		});
		users++;
		readers.get(id)?.end();
		readers.set(id, reader);
		signal?.addEventListener("abort", leave);
		const answer = answers.get(id);
		if (refusal || signal?.aborted) reader.end(refusal);
		else if (answer) reader.begin(answer);
		return reader.parts;
	}
	return {
		ask: (id, signal) => using(async () => {
			asked.add(id);
			try {
				return read(await id, signal);
			} finally {
				asked.delete(id);
				offer();
			}
		}),
		resume: (signal) => using(async () => {
			await answers.live;
			const answer = missing();
			return answer ? read(answer.id, signal) : null;
		}),
		open: () => using(async () => {
			await answers.live;
			const ids = await Promise.all(asked);
			const answer = answers.latest();
			return /* @__PURE__ */ new Set([
				...ids,
				...readers.keys(),
				...answer?.text.state === "open" ? [answer.id] : []
			]);
		}),
		follow(resume) {
			const follower = () => resume();
			users++;
			followers.add(follower);
			offer();
			return () => {
				if (followers.delete(follower)) release();
			};
		}
	};
}
// src/ai/transport.ts
/**
* A `ChatTransport` of the AI SDK, versions 6 and 7. It lets `useChat` read answers that `publishAnswer` publishes.
*
* The request only begins an answer. Its parts come from the channel, so users do not notice a lost connection. A page that is
* reloaded shows the answer so far, and other pages can show it, too.
*
* When `useChat` stops or unmounts, the page stops reading, and the answer continues. {@link stop} ends it for everybody.
*/
var SluiceChatTransport = class {
	options;
	/** Tells `useChat` that a resumed answer comes from its beginning. */
	resumeStreamIsReplay = true;
	#chats = /* @__PURE__ */ new Map();
	constructor(options) {
		this.options = options;
	}
	/** Asks for an answer. `useChat` calls it. */
	sendMessages(request) {
		return this.#chat(request.chatId).ask(this.#send(request), request.abortSignal);
	}
	/** Returns the answer that is being given, or has been given and is not shown. `useChat` calls it. */
	reconnectToStream({ chatId, abortSignal }) {
		return this.#chat(chatId).resume(abortSignal);
	}
	/** Stops what is being answered in a chat. The model's signal aborts, and all pages see the answer end. */
	async stop(chatId) {
		const { channel, url, token, fetch } = this.options;
		for (const stop of await this.#chat(chatId).open()) await require_publish.publish(channel(chatId).control, { stop }, {
			url,
			token,
			fetch
		});
	}
	/**
	* Calls `resume`, which is `resumeStream` of `useChat`, whenever the chat has an answer that the page does not show: it is
	* in progress when the page is loaded, another page has asked for it, or its publisher starts it over.
	*
	* @returns a function that ends this
	*/
	follow(chatId, resume) {
		return this.#chat(chatId).follow(resume);
	}
	#chat(chatId) {
		const known = this.#chats.get(chatId);
		if (known) return known;
		const chat = openChat(chatId, this.options, () => this.#chats.get(chatId) === chat && this.#chats.delete(chatId));
		this.#chats.set(chatId, chat);
		return chat;
	}
	/** Returns the id of the answer that was asked for. */
	async #send({ chatId: id, messages, trigger, messageId, abortSignal, headers, body }) {
		const { api = "/api/chat", fetch } = this.options;
		const request = {
			...body,
			id,
			messages,
			trigger,
			messageId
		};
		const init = {
			method: "POST",
			headers: {
				"Content-Type": "application/json",
				...Object.fromEntries(new Headers(headers))
			},
			body: JSON.stringify(request),
			signal: abortSignal ?? null
		};
		const answer = await (typeof api === "string" ? (fetch ?? globalThis.fetch)(api, init) : api(request, init));
		if (!(answer instanceof Response)) return answer.id;
		if (!answer.ok) throw new Error(await answer.text() || `Status ${answer.status}`);
		return (await answer.json()).id;
	}
};
exports.SluiceChatTransport = SluiceChatTransport;
exports.answerTopics = answerTopics;
exports.publishAnswer = publishAnswer;
exports.textOf = textOf;
