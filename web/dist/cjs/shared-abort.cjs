// src/abort.ts
/**
* Waits for a promise until the signal aborts, and then throws the signal's reason. Reading a
* response body needs this, too: in Node 20 a read hangs if the abort comes together with the end
* of the body.
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
Object.defineProperty(exports, "orAbort", {
	enumerable: true,
	get: function() {
		return orAbort;
	}
});
