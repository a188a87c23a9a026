"use client";
Object.defineProperty(exports, Symbol.toStringTag, { value: "Module" });
const require_subscribe = require("./shared-subscribe.cjs");
const require_realtime = require("./shared-realtime.cjs");
const require_settings = require("./shared-settings.cjs");
// src/react/channelstate.ts
/**
* Returns the data of the latest message of one topic, or its latest text so far. It is
* undefined until there is one. The component renders again only when the value changes. For the state
* of the connection, use {@link useRealtime}.
*
* @example
* const price = useChannelState(stock({ symbol }).price);
*/
function useChannelState(ref, options) {
	const { channel: name, topic } = ref;
	const channel = {
		name,
		topics: { [topic]: { schema: require_subscribe.schemaOf(ref) } }
	};
	const { messages } = require_realtime.useRealtime({
		...options,
		channel,
		topics: [topic],
		historyLimit: 0
	});
	const message = messages.byTopic[topic];
	return message?.kind === "stream" ? message.text : message?.data;
}
exports.RealtimeProvider = require_settings.RealtimeProvider;
exports.useChannelState = useChannelState;
exports.useRealtime = require_realtime.useRealtime;
