Object.defineProperty(exports, Symbol.toStringTag, { value: "Module" });
const require_abort = require("./shared-abort.cjs");
const require_request = require("./shared-request.cjs");
// src/publish.ts
/** The limit for getting the token, and again for the answer. */
const TIMEOUT_MS = 3e4;
/**
* Publishes a message without retrying. It throws a SluiceError, or the signal's reason.
*
* It does not validate the data. The server does, against the schema that it knows.
*/
async function publish(ref, data, options = {}) {
	const { token, signal, timeoutMs = TIMEOUT_MS } = options;
	const ended = new AbortController();
	try {
		const held = await require_abort.orAbort(require_request.credential(token, timeoutMs), signal);
		return await require_abort.orAbort(require_request.atMost(timeoutMs, post(ref, data, options, held, ended.signal)), signal);
	} catch (cause) {
		if (cause instanceof require_request.SluiceError || signal?.aborted) throw cause;
		throw new require_request.SluiceError("network", `No answer: ${cause.message}`, { cause });
	} finally {
		ended.abort(signal?.reason);
	}
}
/** Channel and topic go into the body, where no proxy can mistake a name for part of a path. */
async function post(ref, data, options, held, signal) {
	const { url = held.url, idempotencyKey, runId, traceparent, fetch } = options;
	const target = require_request.endpoint(url, "/v1/publish");
	const response = await require_request.send(fetch, target, {
		method: "POST",
		headers: {
			"Content-Type": "application/json",
			...require_request.authorization(held.token)
		},
		body: JSON.stringify({
			channel: ref.channel,
			topic: ref.topic,
			data,
			run_id: runId,
			idempotency_key: idempotencyKey,
			traceparent
		}),
		signal
	});
	if (!response.ok) throw await require_request.problemOf(response, target);
	return await response.json();
}
exports.publish = publish;
