import { i as lost, n as credential, o as problemOf, r as endpoint, s as send, t as authorization } from "./shared-request.js";
// src/publish.ts
/**
* Publishes a message, once: it is not tried again. It throws a SluiceError.
*
* The data is not validated here; the server does that, by the schema it knows.
*/
async function publish(ref, data, options = {}) {
	const { url, token, idempotencyKey, runId, signal = null, fetch } = options;
	const target = endpoint(url, `/v1/publish/${encodeURIComponent(ref.channel)}/${ref.topic}`);
	if (runId) target.searchParams.set("run_id", runId);
	const response = await send(fetch, target, {
		method: "POST",
		headers: {
			"Content-Type": "application/json",
			...authorization(await credential(token)),
			...idempotencyKey && { "Idempotency-Key": idempotencyKey }
		},
		body: JSON.stringify(data),
		signal
	});
	if (!response.ok) throw await problemOf(response);
	return await response.json().catch((cause) => {
		throw signal?.aborted ? cause : lost(cause);
	});
}
export { publish };
