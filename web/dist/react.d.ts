import { n as AnyRef } from "./shared-channel.js";
import { a as RunStatus, i as PauseReason, n as ConnectionStatus, o as Standing, r as Messages, t as RealtimeOptions } from "./shared-settings.js";
import { a as TopicOf, n as ConnectOptions, r as MessageOf, t as ChannelLike } from "./shared-subscribe.js";
import { o as Message, s as Receipt } from "./shared-request.js";
import { t as PublishOptions } from "./shared-publish.js";
import { ReactElement, ReactNode } from "react";

// src/react/channelstate.d.ts
/** The options of {@link useRealtime}, without those that the topic determines. */
type ChannelStateOptions = Omit<RealtimeOptions<string>, "channel" | "channels" | "topics" | "historyLimit" | "bufferInterval">;
/**
* Returns the data of the latest message of one topic, or its latest text so far. It is
* undefined until there is one. The component renders again only when the value changes. For the state
* of the connection, use {@link useRealtime}.
*
* @example
* const price = useChannelState(stock({ symbol }).price);
*/
declare function useChannelState<Output>(ref: AnyRef<unknown, Output>, options?: ChannelStateOptions): Output | undefined;
/**
* The provider uses the latest token whenever it needs one. A new `url` restarts the subscriptions.
* The other options are taken from the first render. Give the provider another `key` for another user.
*/
interface RealtimeProviderProps extends ConnectOptions {
  children?: ReactNode;
}
/**
* Gives the hooks below it the server and the token. They share a connection unless their own
* options about it differ.
*/
declare function RealtimeProvider({
  children,
  ...options
}: RealtimeProviderProps): ReactElement;
/** What {@link useRealtime} returns. A component renders again only when a field that it has read changes. */
interface Realtime<M extends Message = Message> extends Standing {
  readonly messages: Messages<M>;
  /** Forgets everything that was received and starts a new subscription. The function never changes. */
  readonly reset: () => void;
  /** Publishes with the subscription's url and token. The token needs a grant to publish. It throws a SluiceError. */
  readonly publish: <Input>(ref: AnyRef<Input>, data: NoInfer<Input>, options?: Pick<PublishOptions, "idempotencyKey" | "runId" | "signal">) => Promise<Receipt>;
}
/**
* Subscribes a component to channels for as long as it is mounted. It connects after the first
* render, so on a server every field keeps its initial value (`idle`).
*
* Below a {@link RealtimeProvider} it needs neither url nor token, and shares the connection. A hook
* with its own token has its own connection.
*
* @example
* const { messages, runStatus } = useRealtime({ channel: pipeline({ runId }), topics: ["status"] });
* const status = messages.byTopic.status; // typed
*/
declare function useRealtime<const C extends ChannelLike = string, const Topic extends TopicOf<C> = TopicOf<C>>(options: RealtimeOptions<C, Topic>): Realtime<MessageOf<C, Topic>>;
export { type ChannelStateOptions, type ConnectionStatus, type Messages, type PauseReason, type Realtime, type RealtimeOptions, RealtimeProvider, type RealtimeProviderProps, type RunStatus, type Standing, useChannelState, useRealtime };