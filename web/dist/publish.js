import { t as orAbort } from "./shared-abort.js";
import { c as send, d as SluiceError, i as endpoint, n as authorization, p as atMost, r as credential, s as problemOf } from "./shared-request.js";
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
		const held = await orAbort(credential(token, timeoutMs), signal);
		return await orAbort(atMost(timeoutMs, post(ref, data, options, held, ended.signal)), signal);
	} catch (cause) {
		if (cause instanceof SluiceError || signal?.aborted) throw cause;
		throw new SluiceError("network", `No answer: ${cause.message}`, { cause });
	} finally {
		ended.abort(signal?.reason);
	}
}
/** Channel and topic go into the body, where no proxy can mistake a name for part of a path. */
async function post(ref, data, options, held, signal) {
	const { url = held.url, idempotencyKey, runId, traceparent, fetch } = options;
	const target = endpoint(url, "/v1/publish");
	const response = await send(fetch, target, {
		method: "POST",
		headers: {
			"Content-Type": "application/json",
			...authorization(held.token)
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
	if (!response.ok) throw await problemOf(response, target);
	return await response.json();
}
export { publish };
