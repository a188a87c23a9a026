"use client";
import { s as schemaOf } from "./shared-subscribe.js";
import { t as useRealtime } from "./shared-realtime.js";
import { i as RealtimeProvider } from "./shared-settings.js";
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
		topics: { [topic]: { schema: schemaOf(ref) } }
	};
	const { messages } = useRealtime({
		...options,
		channel,
		topics: [topic],
		historyLimit: 0
	});
	const message = messages.byTopic[topic];
	return message?.kind === "stream" ? message.text : message?.data;
}
export { RealtimeProvider, useChannelState, useRealtime };
