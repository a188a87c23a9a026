import { d as TopicRef } from "./shared-channel.cjs";
import { r as Replay } from "./shared-pool.cjs";
import { a as TopicOf, i as SubscribeOptions, l as Snapshot, n as ConnectOptions, r as MessageOf, t as ChannelLike, u as Status } from "./shared-subscribe.cjs";
import { a as Gap, c as Run, o as Message, s as Receipt } from "./shared-request.cjs";
import { t as PublishOptions } from "./shared-publish.cjs";
import { r as SluiceError } from "./shared-error.cjs";
import { ReactElement, ReactNode } from "react";

// src/react/settings.d.ts
/**
* What to subscribe to, and how. All options can be inline. A new subscription starts, with nothing
* received, when the value of `key`, `url`, the names of the channels, `topics` or `replay` changes.
* The latest token and handlers are always used. The other options are read when a subscription starts.
*/
interface RealtimeOptions<C extends ChannelLike = ChannelLike, Topic extends TopicOf<C> = TopicOf<C>> extends Omit<SubscribeOptions<C, Topic>, "signal" | "until"> {
  /** A new key starts a new subscription. */
  key?: string | number | undefined;
  /** false disconnects; true resumes where the subscription stopped. Default: true. */
  enabled?: boolean | undefined;
  /** Pause while the page is hidden, and resume when it is visible again. Default: true. */
  pauseOnHidden?: boolean | undefined;
  /** The minimum time between two changes of `all`, `last` and `delta`. Default: 0 ms. Messages that arrive together always make one change. */
  bufferInterval?: number | undefined;
  /** How many messages `all` keeps; null: all of them. Default: 100. */
  historyLimit?: number | null | undefined;
  /** What to receive before the live messages. Default: "latest". */
  replay?: Replay | undefined;
  /** With a single channel, close when its run has ended. Default: true. */
  autoCloseOnTerminal?: boolean | undefined;
}
/** The options of {@link useRealtime}, without those that the topic determines. */
type ChannelStateOptions = Omit<RealtimeOptions<string>, "channel" | "channels" | "topics" | "historyLimit" | "bufferInterval">;
/**
* Returns the data of the latest message of one topic, or what there is of its latest text. It is
* undefined until there is one. The component renders again only when the value changes. For the state
* of the connection, use {@link useRealtime}.
*
* @example
* const price = useChannelState(stock({ symbol }).price);
*/
declare function useChannelState<Output>(ref: TopicRef<string, unknown, Output>, options?: ChannelStateOptions): Output | undefined;
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
/** `idle`: not started. The others are those of a subscription. */
type ConnectionStatus = "idle" | Status;
type RunStatus = Run["status"];
/** `hidden`: the page is hidden; `disabled`: `enabled` is false. */
type PauseReason = "hidden" | "disabled" | null;
/** The messages that were received, without the statuses of runs. */
interface Messages<M extends Message = Message> {
  /** The latest message of each topic, up to date even while the other fields are buffered. */
  readonly byTopic: Snapshot<M>["byTopic"];
  /** The newest messages, up to `historyLimit`, oldest first. A text is one message and grows in place. */
  readonly all: readonly M[];
  /** The newest message, or a text that has grown since. */
  readonly last: M | null;
  /** Each message that is new since the component rendered the previous `delta`. A text that has grown is in it once, as it is now. */
  readonly delta: readonly M[];
}
/** What a component may read of a subscription, apart from the messages. */
interface Standing {
  readonly connectionStatus: ConnectionStatus;
  readonly isPaused: boolean;
  readonly pauseReason: PauseReason;
  /** The status of the job that the channel reports on. */
  readonly runStatus: RunStatus;
  /** The result with which the run completed. */
  readonly result: unknown;
  /**
  * The error of the connection or of a message (see `Snapshot.error`). Otherwise, if the run has
  * failed, an error of code `run-failed` with the run's error as its `cause`.
  */
  readonly error: SluiceError | null;
  /** The last 100 permanent losses. */
  readonly gaps: readonly Gap[];
}
/** What {@link useRealtime} returns. A component renders again only when a field that it has read changes. */
interface Realtime<M extends Message = Message> extends Standing {
  readonly messages: Messages<M>;
  /** Forgets everything that was received and starts a new subscription. The function never changes. */
  readonly reset: () => void;
  /** Publishes with the subscription's url and token. The token needs a grant to publish. It throws a SluiceError. */
  readonly publish: <Input>(ref: TopicRef<string, Input>, data: NoInfer<Input>, options?: Pick<PublishOptions, "idempotencyKey" | "runId" | "signal">) => Promise<Receipt>;
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