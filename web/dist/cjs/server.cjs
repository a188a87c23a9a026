Object.defineProperty(exports, Symbol.toStringTag, { value: "Module" });
const require_subscribe = require("./shared-subscribe.cjs");
const require_request = require("./shared-request.cjs");
const require_server = require("./shared-server.cjs");
// src/server/clienttoken.ts
/**
* Issues a token as the function of that name in `inngest/react` does, for applications that keep its
* name without Inngest. The hooks of `./react` and those of `./inngest/react` take the token.
*/
async function getClientSubscriptionToken(sluice, request) {
	const issued = await sluice.token(request);
	return {
		...issued,
		key: issued.token,
		apiBaseUrl: issued.url
	};
}
exports.SluiceError = require_request.SluiceError;
exports.createServer = require_server.createServer;
exports.getClientSubscriptionToken = getClientSubscriptionToken;
exports.text = require_subscribe.text;
