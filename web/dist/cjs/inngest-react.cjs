"use client";
Object.defineProperty(exports, Symbol.toStringTag, { value: "Module" });
const require_realtime = require("./shared-realtime.cjs");
let react = require("react");
// src/inngest/react/message.ts
function createRenaming() {
	const made = /* @__PURE__ */ new WeakMap();
	function once(source, make) {
		if (!made.has(source)) made.set(source, make(source));
		return made.get(source);
	}
	const message = (source) => once(source, (each) => ({
		...each,
		data: each.kind === "stream" ? each.text : each.data,
		runId: each.run_id,
		createdAt: new Date(each.created_at)
	}));
	return {
		message,
		list: (messages) => once(messages, (each) => each.map(message)),
		byTopic: (messages) => once(messages, (each) => Object.fromEntries(Object.entries(each).map(([topic, last]) => [topic, last && message(last)])))
	};
}
// src/inngest/react/token.ts
/**
* Returns what a key stands for: the address to subscribe at, with the token in it, if the key comes from
* Inngest's SDK, whose `apiBaseUrl` is then that of Inngest. Otherwise the key is the token itself.
*/
function answerOf(given) {
	const { key = "", apiBaseUrl } = typeof given === "string" ? { key: given } : given;
	const [, url, token] = /^(https?:.*)\/v1\/subscribe\?access_token=([^&]*)/.exec(key) ?? [];
	return token === void 0 ? {
		token: key,
		url: apiBaseUrl
	} : {
		token,
		url
	};
}
// src/inngest/react/realtime.ts
/**
* The hook `useRealtime` of `inngest/react`, with a Sluice server: it takes the same options and returns
* the same fields.
*/
function useRealtime(options) {
	const { apiBaseUrl: url, token, ...rest } = options;
	const { channel, topics } = typeof token === "object" ? token : {};
	const live = require_realtime.useRealtime({
		...rest,
		channel: rest.channel ?? channel,
		topics: rest.topics ?? topics,
		url,
		token: token && (async () => answerOf(typeof token === "function" ? await token() : token))
	});
	const [renaming] = (0, react.useState)(createRenaming);
	const isRunning = useLatched(live.connectionStatus);
	return (0, react.useMemo)(() => {
		const { messages } = live;
		const fields = {
			get byTopic() {
				return renaming.byTopic(messages.byTopic);
			},
			get all() {
				return renaming.list(messages.all);
			},
			get last() {
				return messages.last && renaming.message(messages.last);
			},
			get delta() {
				return renaming.list(messages.delta);
			}
		};
		return Object.defineProperties({}, {
			...Object.getOwnPropertyDescriptors(live),
			messages: {
				value: fields,
				enumerable: true
			},
			runStatus: {
				get: () => isRunning && live.runStatus === "unknown" ? "running" : live.runStatus,
				enumerable: true
			}
		});
	}, [
		live,
		renaming,
		isRunning
	]);
}
/** Reports whether a subscription has been open. A new one begins with `idle`. */
function useLatched(status) {
	const [opened, setOpened] = (0, react.useState)(false);
	const now = status === "open" || opened && status !== "idle";
	if (now !== opened) setOpened(now);
	return now;
}
exports.useRealtime = useRealtime;
