const require_connection = require("./shared-connection.cjs");
const require_request = require("./shared-request.cjs");
// src/server/deadline.ts
/** The reason of a signal that is done with. The default one would be made anew for each request, with its stack. */
const DONE = /* @__PURE__ */ new Error("The request is over");
/**
* Returns a signal that follows another one and also aborts when time is up.
*
* @param ms undefined: there is no time limit
* @param late returns the reason to abort with when time is up
*/
function within(ms, outer, late) {
	const controller = new AbortController();
	const follow = () => controller.abort(outer?.reason);
	if (outer?.aborted) follow();
	outer?.addEventListener("abort", follow, { once: true });
	const stop = ms === void 0 ? void 0 : require_request.after(ms, () => controller.abort(late?.()));
	return {
		signal: controller.signal,
		expire: (reason) => controller.abort(reason),
		done() {
			stop?.();
			outer?.removeEventListener("abort", follow);
			controller.abort(DONE);
		}
	};
}
/** Waits. If the signal aborts, it throws the signal's reason. */
function wait(ms, signal) {
	return new Promise((resolve, reject) => {
		const abort = () => {
			stop();
			reject(signal?.reason);
		};
		const stop = require_request.after(ms, () => {
			signal?.removeEventListener("abort", abort);
			resolve();
		});
		if (signal?.aborted) return abort();
		signal?.addEventListener("abort", abort, { once: true });
	});
}
// src/server/retry.ts
/**
* Reports whether a failed request may be repeated.
*
* @param once it has the same effect however often it is made: a read, or a publish under a key.
*   Other requests are repeated only if it is certain that nothing was done: after 429, and after
*   the server's own 503. A gateway may answer 503 although the server received the request.
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
/** Waits before the next attempt: as long as the server asks for, or with full jitter. */
function pause({ minMs, maxMs }, failures, error, signal) {
	return wait(require_connection.backoff(failures, minMs, maxMs, error.retryAfterMs), signal);
}
/** Makes attempts until one succeeds or must not be repeated, see {@link mayRepeat}. It throws the last error. */
async function retrying(policy, { once, signal }, attempt) {
	for (let failures = 0;; failures++) try {
		return await attempt();
	} catch (error) {
		if (!(error instanceof require_request.SluiceError) || failures >= policy.retries || !mayRepeat(error, once)) throw error;
		await pause(policy, failures, error, signal);
	}
}
Object.defineProperty(exports, "mayRepeat", {
	enumerable: true,
	get: function() {
		return mayRepeat;
	}
});
Object.defineProperty(exports, "pause", {
	enumerable: true,
	get: function() {
		return pause;
	}
});
Object.defineProperty(exports, "retrying", {
	enumerable: true,
	get: function() {
		return retrying;
	}
});
Object.defineProperty(exports, "wait", {
	enumerable: true,
	get: function() {
		return wait;
	}
});
Object.defineProperty(exports, "within", {
	enumerable: true,
	get: function() {
		return within;
	}
});
