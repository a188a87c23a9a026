import { t as SluiceError } from "./shared-error.js";
// src/request.ts
/** Gets the credential; "": none. A failure of its source is an error of code `token`. */
async function credential(token) {
	try {
		const answer = typeof token === "function" ? await token() : token;
		return typeof answer === "object" ? answer.token : answer ?? "";
	} catch (cause) {
		throw cause instanceof SluiceError ? cause : new SluiceError("token", "No token", { cause });
	}
}
function authorization(token) {
	return token ? { Authorization: `Bearer ${token}` } : {};
}
/**
* The address of an endpoint below the server's, whose path is kept. Without a server it is the
* page's origin.
*/
function endpoint(server, path) {
	const base = new URL(server ?? globalThis.location?.origin ?? "", globalThis.location?.href);
	return new URL(base.pathname.replace(/\/*$/, path), base);
}
/** What there is to say of a network that failed. */
function lost(cause) {
	return new SluiceError("network", "Connection lost", { cause });
}
/** Sends a request. A network fault is an error of code `network`; an abort is passed on as it is. */
function send(fetch, url, init) {
	return (fetch ?? globalThis.fetch)(url, init).catch((cause) => {
		throw init.signal?.aborted ? cause : lost(cause);
	});
}
/** Reads the problem document of an answer that is not a success, RFC 9457. */
async function problemOf(response) {
	const { status } = response;
	const { type = status === 401 ? "unauthorized" : "http-" + status, title = "Status " + status, detail, errors, instance } = await response.json().catch(() => null) ?? {};
	const retryAfterMs = Number(response.headers.get("retry-after")) * 1e3 || void 0;
	const message = detail ? `${title}: ${detail}` : title;
	return new SluiceError(String(type).split("/").pop(), message, {
		status,
		detail,
		errors,
		instance,
		retryAfterMs
	});
}
/** Whether the same request may succeed a little later. */
function passing({ status, code }) {
	return ["network", "token"].includes(code) || [
		408,
		425,
		429
	].includes(status) || status >= 500;
}
export { passing as a, lost as i, credential as n, problemOf as o, endpoint as r, send as s, authorization as t };
