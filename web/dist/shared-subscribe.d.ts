import { o as InferMessage, p as TopicName, s as InngestChannel, t as AnyChannel } from "./shared-channel.js";
import { i as WireMessage, n as Route, r as Replay, t as Pool } from "./shared-pool.js";
import { a as Gap, c as Run, l as RunMessage, n as Token, o as Message, t as Fetch, u as TextStream } from "./shared-request.js";
import { r as SluiceError } from "./shared-error.js";

// src/snapshot.d.ts
type Status = "connecting" | "open" | "paused" | "closed" | "error";
/** A subscription at one moment. It is immutable: each change makes a new snapshot. */
interface Snapshot<M extends Message = Message> {
  readonly status: Status;
  /** Why it is paused; null: it is not paused. */
  readonly pauseReason: string | null;
  /**
  * The latest error: the reason for status `error` or `closed`, why it is reconnecting, or a message
  * that is unreadable or breaks its schema. null: none since it opened.
  */
  readonly error: SluiceError | null;
  /** The status of the job. With several channels, the one that was reported last. */
  readonly run: Run;
  /** The last 100 permanent losses. */
  readonly gaps: readonly Gap[];
  readonly last: M | null;
  /** The latest message of each topic. */
  readonly byTopic: { readonly [Topic in M["topic"]]?: Extract<M, {
    readonly topic: Topic;
  }> };
  /** Everything up to here was delivered. A later subscription can resume from it (`lastEventId`). */
  readonly position: string | null;
}
/** Handlers of a subscription. An error in one is reported and stops nothing. */
interface Handlers<M extends Message = Message> {
  /** Receives a message. If it returns a promise, the next message waits for it. */
  onMessage?: ((message: M) => unknown) | undefined;
  /** Receives each addition to a text, after onMessage received its start. */
  onChunk?: ((message: Extract<M, TextStream>, chunk: string) => unknown) | undefined;
  /** Receives a change of a run's status. The message has the channel and the time. */
  onRun?: ((run: Run, message: RunMessage) => unknown) | undefined;
  onGap?: ((gap: Gap) => unknown) | undefined;
  /** Is called on each connection when everything that the server had by then has been delivered. */
  onLive?: (() => unknown) | undefined;
  onStatus?: ((status: Status, snapshot: Snapshot<M>) => unknown) | undefined;
  /** Receives a message that is unreadable or whose data breaks the topic's schema. It is not delivered otherwise. The data of an unreadable message may be its text. */
  onInvalid?: ((error: SluiceError, message: WireMessage) => unknown) | undefined;
}
/**
* A subscription, which lasts until it is closed or refused. Read it as an async iterable, with
* handlers, or as a store. Each message arrives once, and those of one channel in the order of their
* ids. With several channels and a server on NATS, a message may arrive after newer ones of other
* channels.
*
* Without onMessage and without a listener, messages wait for a loop to take them. While too many
* wait, nothing more is read, so memory does not grow; the server buffers within its own limits. If
* nothing is taken for ten seconds, the subscription disconnects, and resumes when there is room. If
* others share the connection and keep up, sixteen times as much may wait; then the slow subscription
* gets its own connection.
*
* A loop throws the error that the subscription ended with. Leaving the loop closes the subscription.
*/
interface Subscription<M extends Message = Message> extends AsyncIterable<M> {
  /** Returns the current state. */
  getSnapshot(): Snapshot<M>;
  /** Calls the listener after each change of the snapshot, until the returned function is called. */
  subscribe(listener: () => void): () => void;
  /**
  * Disconnects and keeps the position, from which resume() continues. Before the first connection
  * has opened there is no position yet, so it waits for that. Default reason: "".
  */
  pause(reason?: string): void;
  /** Removes a reason to pause. Without any other, it resumes. */
  resume(reason?: string): void;
  /** Ends the subscription and drops the messages that wait to be taken. */
  close(): void;
}
/** A channel, a whole family of channels, a channel of the `inngest` package, a name, or a pattern (`pipeline:*`). */
type ChannelLike = string | AnyChannel | InngestChannel;
/** The topics that C can be asked for: those of its definition, or any if only its name is known. */
type TopicOf<C> = C extends string ? string : TopicName<C>;
/** What a subscription to C delivers. */
type MessageOf<C, Topic extends string = string> = C extends string ? Message<Topic> : InferMessage<C, Topic>;
/** How to reach the server, and what to do when that fails. Subscriptions with equal options share one connection. */
interface ConnectOptions {
  /** The server's address; a path in it is kept. Default: the one that the token function's answer names in `url`, or else the page's origin. */
  url?: string | URL | undefined;
  /** The token, or a function that gets one. It is called before each connection, so a stream outlives its tokens. */
  token?: Token | undefined;
  /** How long the token function may take before it is called again. Default: 30000 ms. */
  tokenTimeoutMs?: number | undefined;
  /** Reconnect when the connection is lost. Default: true. */
  reconnect?: boolean | undefined;
  /** Upper bound of the first random wait before that. It doubles with each failure. Default: 250 ms. */
  reconnectMinMs?: number | undefined;
  /** Upper bound of all waits. Default: 5000 ms. */
  reconnectMaxMs?: number | undefined;
  /** The server's heartbeat interval. After two and a half times as long without a sign of life, the connection counts as dead. Default: what the server announces; 0: never. */
  heartbeatMs?: number | undefined;
  /** Use the browser's EventSource, where `fetch` cannot stream. Needs `topics`. Default: false. */
  eventSource?: boolean | undefined;
  /** Share one connection among the tabs of this browser: `tabs("user-7")` of `@sluicehq/sluice/tabs`. Default: each tab has its own. */
  shareTabs?: ((pool: Pool, route: Route) => Pool) | undefined;
  /** Default: the runtime's own. */
  fetch?: Fetch | undefined;
  /** Parses the JSON of a message. If it throws, the message goes to onInvalid. Default: JSON.parse, which rounds integers beyond 2^53. */
  parse?: ((json: string) => unknown) | undefined;
}
interface SubscribeOptions<C extends ChannelLike, Topic extends TopicOf<C>> extends ConnectOptions, Handlers<MessageOf<C, Topic>> {
  /** What to subscribe to. Default for both this and `channels`: the one channel that the token names. */
  channel?: C | undefined;
  channels?: readonly C[] | undefined;
  /** Default: every topic that the token grants. */
  topics?: readonly Topic[] | undefined;
  /** What to receive before the live messages if there is no position to resume from. Default: "none". */
  replay?: Replay | undefined;
  /** A position to resume from: the `snapshot.position` of an earlier subscription; null: none. */
  lastEventId?: string | null | undefined;
  /** Validate messages against their topics' schemas, and deliver the schemas' output. Default: true. */
  validate?: boolean | undefined;
  /** With a single channel, close when its run has ended. Default: false. */
  autoCloseOnTerminal?: boolean | undefined;
  /**
  * `end`: the server ends the stream of a single channel when its run has ended and everything before
  * that was sent. If it had ended before and there is nothing to replay, the subscription closes at
  * once. It has a connection of its own. Default: it does not end.
  */
  until?: "end" | undefined;
  /** Closes the subscription. */
  signal?: AbortSignal | undefined;
}
/**
* Subscribes to channels. The subscription reconnects and resumes by itself until it is closed or
* refused.
*
* @throws TypeError for options that contradict each other
*/
declare function subscribe<const C extends ChannelLike = string, const Topic extends TopicOf<C> = TopicOf<C>>(options: SubscribeOptions<C, Topic>): Subscription<MessageOf<C, Topic>>;
export { TopicOf as a, Handlers as c, SubscribeOptions as i, Snapshot as l, ConnectOptions as n, subscribe as o, MessageOf as r, Subscription as s, ChannelLike as t, Status as u };