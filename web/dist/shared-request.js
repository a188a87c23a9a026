// src/timer.ts
/** The longest wait that a runtime's timer supports. A longer one fires at once. */
const MAX_MS = 2 ** 31 - 1;
/**
* Does something after any number of milliseconds, even months of them; `Infinity` means never.
*
* @returns a function that cancels it
*/
function after(ms, work) {
	let timer;
	const next = () => {
		const part = Math.min(ms, MAX_MS);
		ms -= part;
		timer = setTimeout(ms ? next : work, part);
	};
	next();
	return () => clearTimeout(timer);
}
/** Waits for a promise of somebody else's code, but at most for ms. After that it throws an Error. */
async function atMost(ms, promise) {
	let stop;
	const late = new Promise((_, reject) => {
		stop = after(ms, () => reject(/* @__PURE__ */ new Error(`Nothing within ${ms} ms`)));
	});
	return Promise.race([promise, late]).finally(stop);
}
// src/error.ts
/** Any failure between a program and the server. */
var SluiceError = class extends Error {
	name = "SluiceError";
	/** The HTTP status; 0: there was no answer. */
	status = 0;
	constructor(code, message, details) {
		super(message);
		Object.assign(this, details, { code });
	}
};
// src/request.ts
/** How long getting a token may take. */
const TOKEN_TIMEOUT_MS = 3e4;
/** Returned by {@link latestOf} for no token at all. Any other answer without a token is an error. */
const NO_TOKEN = { token: "" };
/** Returns a token function that never changes and always gives the latest token. */
function latestOf(get) {
	return () => {
		const token = get();
		return typeof token === "function" ? token() : token ?? NO_TOKEN;
	};
}
/**
* Gets the credential. A function that throws, takes too long, or returns no
* token is an error of code `token`, because the next attempt may succeed.
*/
async function credential(token, timeoutMs = TOKEN_TIMEOUT_MS) {
	if (typeof token !== "function") return { token: token ?? "" };
	try {
		return await atMost(timeoutMs, tokenOf(token));
	} catch (cause) {
		throw cause instanceof SluiceError ? cause : new SluiceError("token", `No token: ${cause?.message}`, { cause });
	}
}
async function tokenOf(source) {
	let answer = await source();
	if (answer === NO_TOKEN) return NO_TOKEN;
	if (typeof answer?.text === "function") {
		const response = answer;
		if (!response.ok) {
			const cause = await problemOf(response);
			throw new SluiceError("token", `No token: ${cause.message}`, {
				cause,
				retryAfterMs: cause.retryAfterMs
			});
		}
		const text = await response.text();
		try {
			answer = JSON.parse(text);
		} catch {
			answer = text;
		}
	}
	const { token = answer, url } = Object(answer);
	if (typeof token === "string" && /^[!-~]+$/.test(token.trim())) return {
		token: token.trim(),
		url
	};
	throw new Error("the answer has none");
}
function authorization(token) {
	return token ? { Authorization: `Bearer ${token}` } : {};
}
/**
* Returns the address of an endpoint. It keeps the path of the server's address. The default server
* is the page's origin.
*/
function endpoint(server, path) {
	const base = new URL(server ?? globalThis.location?.origin ?? "", globalThis.location?.href);
	return new URL(base.pathname.replace(/\/*$/, path), base);
}
/**
* The error for a network failure.
*
* @param server set if it has never answered: a page cannot see whether it is down or refuses the page's origin
*/
function lost(cause, server) {
	const page = globalThis.location?.origin;
	const what = page && server && server.origin !== page ? "it up, with --cors-origins " + page : "it up";
	return new SluiceError("network", server ? absent(server, what) : "Connection lost", { cause });
}
/** Says that there is no Sluice, but something else that answers or nothing at all. */
function absent({ origin }, what = "`url` set") {
	return `No Sluice at ${origin}: is ${what}?`;
}
/** The error for a runtime that lacks a feature. No retry would help. */
function unsupported(feature) {
	return new SluiceError("unsupported", `This runtime has no ${feature}`);
}
/**
* Sends a request. A network failure is an error of code `network`; an abort is passed on unchanged.
*
* @param known set if the server has answered before
*/
async function send(fetch, url, init, known) {
	const request = fetch ?? globalThis.fetch;
	if (!request) throw unsupported("fetch");
	try {
		return await request(url, init);
	} catch (cause) {
		throw init.signal?.aborted ? cause : lost(cause, !known && url);
	}
}
/**
* Reads the problem document, RFC 9457, of an unsuccessful response. If the connection breaks before
* its end, the failure is the network's: nobody knows what the server had to say.
*
* @param url where a Sluice server should be, which answers every request with such a document
*/
async function problemOf(response, url) {
	const { status } = response;
	const { type = status === 401 ? "unauthorized" : "http-" + status, title = url && status === 404 ? absent(url) : "Status " + status, detail, errors, instance } = Object(await response.json().catch((cause) => {
		if (cause.name !== "SyntaxError") throw lost();
	}));
	const retryAfterMs = +response.headers.get("retry-after") * 1e3 || void 0;
	const message = detail ? title + ": " + detail : title;
	return new SluiceError(String(type).split("/").pop(), message, {
		status,
		detail,
		errors,
		instance,
		retryAfterMs
	});
}
/** Reports whether the same request may succeed a little later. */
function transient({ status, code }) {
	return ["network", "token"].includes(code) || [
		408,
		425,
		429
	].includes(status) || status >= 500;
}
export { latestOf as a, send as c, SluiceError as d, after as f, endpoint as i, transient as l, authorization as n, lost as o, atMost as p, credential as r, problemOf as s, absent as t, unsupported as u };
