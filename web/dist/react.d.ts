import { S as Run, b as Message, l as TopicRef, x as Receipt, y as Gap } from "./shared-channel.js";
import { i as Replay } from "./shared-hub.js";
import { a as TopicOf, i as SubscribeOptions, l as Snapshot, n as ConnectOptions, r as MessageOf, t as ChannelLike, u as Status } from "./shared-subscribe.js";
import { t as PublishOptions } from "./shared-publish.js";
import { r as SluiceError } from "./shared-error.js";
import { ReactElement, ReactNode } from "react";

// src/react/settings.d.ts
/**
* What to subscribe to, and how. Everything can be given inline: a subscription begins anew, with
* nothing received, when `key`, `url`, the names of the channels, `topics` or `replay` have become
* others. The token and the handlers are taken as they are when they are called; the other
* options as they are when a subscription begins.
*/
interface RealtimeOptions<C extends ChannelLike = ChannelLike, Topic extends TopicOf<C> = TopicOf<C>> extends Omit<SubscribeOptions<C, Topic>, "signal"> {
  /** Another key begins another subscription. */
  key?: string | number | undefined;
  /** false: not connected. When it becomes true again, the subscription goes on where it was. Default: true. */
  enabled?: boolean | undefined;
  /** Pause while nobody sees the page, and go on from there. Default: true. */
  pauseOnHidden?: boolean | undefined;
  /** How often `all`, `last` and `delta` change at most. Default: 0 ms, with each message that arrives; those that arrive together make one change. */
  bufferInterval?: number | undefined;
  /** How many messages `all` keeps; null: each one. Default: 100. */
  historyLimit?: number | null | undefined;
  /** What comes first, before the live messages. Default: "latest". */
  replay?: Replay | undefined;
  /** Close when the run of the channel, if it is just one, has ended. Default: true. */
  autoCloseOnTerminal?: boolean | undefined;
}
/** As of {@link useRealtime}, without what the topic says. */
type ChannelStateOptions = Omit<RealtimeOptions<string>, "channel" | "channels" | "topics" | "historyLimit" | "bufferInterval">;
/**
* The data of the latest message of one topic, from the first rendering with it on: undefined
* until there is one, and while the latest is a text stream. A component is rendered again when it
* changes and for nothing else; whether the connection stands is told by {@link useRealtime}.
*
* @example
* const price = useChannelState(stock({ symbol }).price);
*/
declare function useChannelState<Output>(ref: TopicRef<string, unknown, Output>, options?: ChannelStateOptions): Output | undefined;
/**
* The token is taken as it is when it is needed. Another `url` begins the subscriptions anew. The
* other options are taken as they are in the first rendering; another user needs another `key`.
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
/** `idle`: nothing has begun. The others are those of a subscription. */
type ConnectionStatus = "idle" | Status;
type RunStatus = Run["status"];
/** `hidden`: nobody sees the page; `disabled`: `enabled` is false. */
type PauseReason = "hidden" | "disabled" | null;
/** What has been received. The statuses of runs are not among it. */
interface Messages<M extends Message = Message> {
  /** The latest message of each topic: at once, also when the others are buffered. */
  readonly byTopic: Snapshot<M>["byTopic"];
  /** The newest messages, oldest first, up to `historyLimit`. A text is one of them, and grows in its place. */
  readonly all: readonly M[];
  /** The newest message, or the text that has grown since. */
  readonly last: M | null;
  /** What is new since the component was rendered with the `delta` before: each message once; of a text that has grown, how it is now. */
  readonly delta: readonly M[];
}
/** What a component may read of a subscription, beside the messages. */
interface Standing {
  readonly connectionStatus: ConnectionStatus;
  readonly isPaused: boolean;
  readonly pauseReason: PauseReason;
  /** How the job stands that the channel reports on. */
  readonly runStatus: RunStatus;
  /** What the run has resulted in. */
  readonly result: unknown;
  /**
  * What is wrong: with the connection or a message (see `Snapshot.error`); otherwise, when the run
  * has failed, an error of code `run-failed` whose `cause` is what the run gave as its error.
  */
  readonly error: SluiceError | null;
  /** What was lost for good, the last 100. */
  readonly gaps: readonly Gap[];
}
/** What {@link useRealtime} returns. A component is rendered again when something has changed that it has read here, and for nothing else. */
interface Realtime<M extends Message = Message> extends Standing {
  readonly messages: Messages<M>;
  /** Forgets all that was received and begins a new subscription. Always the same function. */
  readonly reset: () => void;
  /** Publishes with the subscription's url and token, which needs a grant for that. It throws a SluiceError. */
  readonly publish: <Input>(ref: TopicRef<string, Input>, data: NoInfer<Input>, options?: Pick<PublishOptions, "idempotencyKey" | "runId" | "signal">) => Promise<Receipt>;
}
/**
* Subscribes a component to channels for as long as it is mounted. It connects after the first
* rendering, so on a server nothing happens and all is as in the beginning: `idle`.
*
* Below a {@link RealtimeProvider} it needs neither url nor token, and shares the connection.
* Otherwise, with a token, each hook has its own.
*
* @example
* const { messages, runStatus } = useRealtime({ channel: pipeline({ runId }), topics: ["status"] });
* const status = messages.byTopic.status; // typed
*/
declare function useRealtime<const C extends ChannelLike = string, const Topic extends TopicOf<C> = TopicOf<C>>(options: RealtimeOptions<C, Topic>): Realtime<MessageOf<C, Topic>>;
export { type ChannelStateOptions, type ConnectionStatus, type Messages, type PauseReason, type Realtime, type RealtimeOptions, RealtimeProvider, type RealtimeProviderProps, type RunStatus, type Standing, useChannelState, useRealtime };