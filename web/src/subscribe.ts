import { nameOf, topicsOf, type AnyChannel, type InferMessage, type InngestChannel, type TopicName } from "./channel.js";
import { SILENT_BEATS, type Route } from "./connection.js";
import type { Message } from "./message.js";
import { poolFor, type Pool } from "./pool.js";
import { matches, type Replay } from "./poolmember.js";
import type { Fetch, Token } from "./request.js";
import type { Handlers } from "./snapshot.js";
import { createSubscription, type Subscription } from "./subscription.js";
import { overEventSource, overFetch } from "./transport.js";

/** A channel, a whole family of channels, a channel of the `inngest` package, a name, or a pattern (`pipeline:*`). */
export type ChannelLike = string | AnyChannel | InngestChannel;

/** The topics that C can be asked for: those of its definition, or any if only its name is known. */
export type TopicOf<C> = C extends string ? string : TopicName<C>;

/** What a subscription to C delivers. */
export type MessageOf<C, Topic extends string = string> = C extends string ? Message<Topic> : InferMessage<C, Topic>;

/** How to reach the server, and what to do when that fails. Subscriptions with equal options share one connection. */
export interface ConnectOptions {
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

export interface SubscribeOptions<C extends ChannelLike, Topic extends TopicOf<C>> extends ConnectOptions, Handlers<MessageOf<C, Topic>> {
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
export function subscribe<const C extends ChannelLike = string, const Topic extends TopicOf<C> = TopicOf<C>>(
  options: SubscribeOptions<C, Topic>,
): Subscription<MessageOf<C, Topic>> {
  const { channel, channels = channel === undefined ? [] : [channel], topics, validate = true } = options;
  if (options.eventSource && !topics) throw new TypeError("eventSource needs topics");
  const known = channels.map((each) => [nameOf(each), topicsOf(each)] as const);
  const single = !known[1] && !known[0]?.[0].endsWith("*");
  if (options.until && !single) throw new TypeError("until needs one channel");
  const route = routeOf(options);
  const findPool = (): Pool => {
    const pool = poolFor(route);
    return (!options.until && options.shareTabs?.(pool, route)) || pool;
  };
  return createSubscription<MessageOf<C, Topic>>(findPool, {
    ...options,
    channels: known.map(([name]) => name),
    topics,
    replay: options.replay ?? "none",
    autoCloseOnTerminal: (options.autoCloseOnTerminal || !!options.until) && single,
    schemaOf: (name, topic) => known.find(([own, topics]) => validate && topics?.[topic] && matches(own, name))?.[1]![topic]!.schema,
  });
}

export function routeOf(options: ConnectOptions): Route {
  const {
    url,
    token,
    tokenTimeoutMs,
    fetch,
    reconnect = true,
    reconnectMinMs = 250,
    reconnectMaxMs = 5000,
    heartbeatMs,
    eventSource,
    parse = JSON.parse,
  } = options;
  return {
    url,
    token,
    tokenTimeoutMs,
    fetch,
    parse,
    transport: eventSource ? overEventSource : overFetch,
    reconnect,
    reconnectMinMs,
    reconnectMaxMs,
    silenceMs: eventSource ? 0 : heartbeatMs && heartbeatMs * SILENT_BEATS, // an EventSource does not show heartbeats
  };
}
