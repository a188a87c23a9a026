import { C as RunMessage, S as Run, a as InferMessage, b as Message, c as TopicName, t as AnyChannel, w as TextStream, y as Gap } from "./shared-channel.js";
import { i as Replay, n as Route, r as EventData, t as Source } from "./shared-hub.js";
import { n as Token, t as Fetch } from "./shared-request.js";
import { r as SluiceError } from "./shared-error.js";

// src/snapshot.d.ts
type Status = "connecting" | "open" | "paused" | "closed" | "error";
/** A subscription at one moment. It does not change; each change makes a new one. */
interface Snapshot<M extends Message = Message> {
  readonly status: Status;
  /** Why it is paused; null: it is not. */
  readonly pauseReason: string | null;
  /**
  * What went wrong last: the reason of status `error` or `closed`, why the connection was lost
  * that is being made anew, or a message that broke its schema. null: nothing since it opened.
  */
  readonly error: SluiceError | null;
  /** How the job stands; of several channels, the one that was heard of last. */
  readonly run: Run;
  /** What was lost for good, the last 100. */
  readonly gaps: readonly Gap[];
  readonly last: M | null;
  /** The latest message of each topic. */
  readonly byTopic: { readonly [Topic in M["topic"]]?: Extract<M, {
    readonly topic: Topic;
  }> };
  /** Everything up to here has been handed over: a later subscription can go on from it (`lastEventId`). */
  readonly position: string | null;
}
/** What a subscription calls. What they throw is reported and does not stop it. */
interface Handlers<M extends Message = Message> {
  /** Takes a message. While a promise that it returns is pending, the next one waits. */
  onMessage?: ((message: M) => unknown) | undefined;
  /** Takes what a text stream has grown by, after onMessage has had its beginning. */
  onChunk?: ((message: Extract<M, TextStream>, chunk: string) => unknown) | undefined;
  /** Takes a change of a run's status; message tells of which channel, and when. */
  onRun?: ((run: Run, message: RunMessage) => unknown) | undefined;
  onGap?: ((gap: Gap) => unknown) | undefined;
  onStatus?: ((status: Status, snapshot: Snapshot<M>) => unknown) | undefined;
  /** Takes a message whose data breaks the topic's schema; it is not handed over. */
  onInvalid?: ((error: SluiceError, message: EventData) => unknown) | undefined;
}
/**
* A subscription, which lives until it is closed or refused: as an async iterable, by its handlers
* and as a store. Messages come in the order of their ids, each once.
*
* Without onMessage and without a listener, messages wait for the iteration. When too many wait the
* connection is left until they were taken, so that neither memory grows nor a message is lost.
*
* An iteration throws what the subscription ended with, and closes it when the loop is left.
*/
interface Subscription<M extends Message = Message> extends AsyncIterable<M> {
  /** The subscription as it is now. */
  getSnapshot(): Snapshot<M>;
  /** Calls listener after each change of the snapshot, until the function that it returns is called. */
  subscribe(listener: () => void): () => void;
  /**
  * Leaves the connection and keeps the position, from which resume() goes on. There is none
  * before the first connection has opened, so that is waited for. Default reason: "".
  */
  pause(reason?: string): void;
  /** Takes a reason to pause away; without another it goes on. */
  resume(reason?: string): void;
  /** Ends the subscription. What waits to be taken is dropped. */
  close(): void;
}
/** A channel, a whole family of channels, a name, or a pattern (`pipeline:*`). */
type ChannelLike = string | AnyChannel;
/** The topics that can be asked for: those of the definition, or any of a channel known by name alone. */
type TopicOf<C> = C extends string ? string : TopicName<C>;
/** What a subscription to C hands over. */
type MessageOf<C, Topic extends string = string> = C extends string ? Message<Topic> : InferMessage<C, Topic>;
/** How to reach the server, and what to do when that fails. Subscriptions of a page for which all of this is the same share one connection. */
interface ConnectOptions {
  /** The server; a path in it is kept. Default: the page's origin. */
  url?: string | URL | undefined;
  /** The token, or what gets one: that is asked before each connection, so a stream outlives its tokens. */
  token?: Token | undefined;
  /** Make a lost connection anew. Default: true. */
  reconnect?: boolean | undefined;
  /** Bound of the first wait before that, which doubles with each failure. Default: 250 ms. */
  reconnectMinMs?: number | undefined;
  /** Bound of the longest wait. Default: 5000 ms. */
  reconnectMaxMs?: number | undefined;
  /** How often the server shows that it is alive. A connection silent for two and a half times as long is dead. Default: 15000 ms; 0: never. */
  heartbeatMs?: number | undefined;
  /** Read with the browser's EventSource, for where `fetch` does not stream. Needs `topics`. Default: false. */
  eventSource?: boolean | undefined;
  /** Share one connection among the tabs of this browser: `tabs("user-7")` of `@sluicehq/sluice/tabs`. Default: each tab has its own. */
  shareTabs?: ((source: Source, route: Route) => Source) | undefined;
  /** Default: the runtime's own. */
  fetch?: Fetch | undefined;
  /** Reads the JSON of an event. Default: JSON.parse, for which an integer beyond 2^53 is not exact. */
  parse?: ((json: string) => unknown) | undefined;
}
interface SubscribeOptions<C extends ChannelLike, Topic extends TopicOf<C>> extends ConnectOptions, Handlers<MessageOf<C, Topic>> {
  /** What to subscribe to. Default, also of `channels`: the one channel that the token names. */
  channel?: C | undefined;
  channels?: readonly C[] | undefined;
  /** Default: all that the token grants. */
  topics?: readonly Topic[] | undefined;
  /** What comes before the live messages when there is no position to go on from. Default: "none". */
  replay?: Replay | undefined;
  /** A position to go on from: `snapshot.position` of an earlier subscription; null: none. */
  lastEventId?: string | null | undefined;
  /** Check messages by the schemas of their topics, and hand over what these make of them. Default: true. */
  validate?: boolean | undefined;
  /** Close when the run of the channel, if it is just one, has ended. Default: false. */
  autoCloseOnTerminal?: boolean | undefined;
  /** Closes the subscription. */
  signal?: AbortSignal | undefined;
}
/**
* Subscribes to channels. The subscription connects by itself, again and again, and resumes where
* it was, until it is closed or refused.
*
* @throws TypeError for options that make no sense together
*/
declare function subscribe<const C extends ChannelLike = string, const Topic extends TopicOf<C> = TopicOf<C>>(options: SubscribeOptions<C, Topic>): Subscription<MessageOf<C, Topic>>;
export { TopicOf as a, Handlers as c, SubscribeOptions as i, Snapshot as l, ConnectOptions as n, subscribe as o, MessageOf as r, Subscription as s, ChannelLike as t, Status as u };