import { c as text } from "./shared-subscribe.js";
import { d as SluiceError } from "./shared-request.js";
import { t as createServer } from "./shared-server.js";
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
export { SluiceError, createServer, getClientSubscriptionToken, text };
