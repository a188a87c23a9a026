import { schemaOf, type AnyRef } from "../channel.js";
import { useRealtime } from "./realtime.js";
import type { RealtimeOptions } from "./settings.js";

/** The options of {@link useRealtime}, without those that the topic determines. */
export type ChannelStateOptions = Omit<RealtimeOptions<string>, "channel" | "channels" | "topics" | "historyLimit" | "bufferInterval">;

/**
 * Returns the data of the latest message of one topic, or its latest text so far. It is
 * undefined until there is one. The component renders again only when the value changes. For the state
 * of the connection, use {@link useRealtime}.
 *
 * @example
 * const price = useChannelState(stock({ symbol }).price);
 */
export function useChannelState<Output>(ref: AnyRef<unknown, Output>, options?: ChannelStateOptions): Output | undefined {
  const { channel: name, topic } = ref;
  const channel = { name, topics: { [topic]: { schema: schemaOf(ref) } } };
  const { messages } = useRealtime<typeof channel, string>({ ...options, channel, topics: [topic], historyLimit: 0 });
  const message = messages.byTopic[topic];
  return (message?.kind === "stream" ? message.text : message?.data) as Output | undefined;
}
