import type { TopicRef } from "../channel.js";
import { useRealtime } from "./realtime.js";
import type { RealtimeOptions } from "./settings.js";

/** As of {@link useRealtime}, without what the topic says. */
export type ChannelStateOptions = Omit<RealtimeOptions<string>, "channel" | "channels" | "topics" | "historyLimit" | "bufferInterval">;

/**
 * The data of the latest message of one topic, from the first rendering with it on: undefined
 * until there is one, and while the latest is a text stream. A component is rendered again when it
 * changes and for nothing else; whether the connection stands is told by {@link useRealtime}.
 *
 * @example
 * const price = useChannelState(stock({ symbol }).price);
 */
export function useChannelState<Output>(ref: TopicRef<string, unknown, Output>, options?: ChannelStateOptions): Output | undefined {
  const { channel: name, topic, schema } = ref;
  const channel = { $name: name, $template: name, $topics: { [topic]: { schema } } };
  const { messages } = useRealtime<typeof channel, string>({ ...options, channel, topics: [topic], historyLimit: 0 });
  const message = messages.byTopic[topic];
  return message?.kind === "data" ? message.data : undefined;
}
