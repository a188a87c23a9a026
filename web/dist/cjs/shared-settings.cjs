const require_request = require("./shared-request.cjs");
const require_subscribe = require("./shared-subscribe.cjs");
let react = require("react");
// src/react/provider.ts
/** What a provider passes to the hooks below it. */
const Connection = (0, react.createContext)({});
/**
* Gives the hooks below it the server and the token. They share a connection unless their own
* options about it differ.
*/
function RealtimeProvider({ children, ...options }) {
	const url = options.url && String(options.url);
	const [first] = (0, react.useState)(() => withLatestToken(options));
	(0, react.useInsertionEffect)(() => first.committed(options));
	const value = (0, react.useMemo)(() => ({
		...first.options,
		url
	}), [first, url]);
	return (0, react.createElement)(Connection.Provider, { value }, children);
}
/** Replaces the token by a function that never changes and always gives the latest token. */
function withLatestToken(first) {
	let latest = first;
	return {
		options: {
			...first,
			token: require_request.latestOf(() => latest.token)
		},
		committed(options) {
			latest = options;
		}
	};
}
// src/react/settings.ts
/**
* Completes the options of a hook. The provider's token goes only to the provider's server, and a
* hook with its own token does not share its connection with other tabs.
*/
function settle(options, provided) {
	const own = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== void 0));
	const ownToken = "token" in own;
	return {
		replay: "latest",
		autoCloseOnTerminal: true,
		..."url" in own ? { fetch: provided.fetch } : provided,
		...ownToken && { shareTabs: void 0 },
		...own,
		ownToken
	};
}
/** Returns what identifies a subscription. */
function identityOf({ key, url, channel, channels = [channel], topics, replay }) {
	return JSON.stringify([
		key,
		url,
		channels.map((each) => each && require_subscribe.nameOf(each)).sort(),
		topics && [...topics].sort(),
		replay
	]);
}
Object.defineProperty(exports, "Connection", {
	enumerable: true,
	get: function() {
		return Connection;
	}
});
Object.defineProperty(exports, "RealtimeProvider", {
	enumerable: true,
	get: function() {
		return RealtimeProvider;
	}
});
Object.defineProperty(exports, "identityOf", {
	enumerable: true,
	get: function() {
		return identityOf;
	}
});
Object.defineProperty(exports, "settle", {
	enumerable: true,
	get: function() {
		return settle;
	}
});
