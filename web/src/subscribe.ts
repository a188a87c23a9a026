import type { AnyChannel, InferMessage, TopicName } from "./channel.js";
import type { Route } from "./connection.js";
import { hubFor, type Source } from "./hub.js";
import { matches, type Replay } from "./member.js";
import type { Message } from "./message.js";
import type { Fetch, Token } from "./request.js";
import type { Handlers } from "./snapshot.js";
import { createSubscription, type Subscription } from "./subscription.js";
import { overEventSource, overFetch } from "./transport.js";

/** A channel, a whole family of channels, a name, or a pattern (`pipeline:*`). */
export type ChannelLike = string | AnyChannel;

/** The topics that can be asked for: those of the definition, or any of a channel known by name alone. */
export type TopicOf<C> = C extends string ? string : TopicName<C>;

/** What a subscription to C hands over. */
export type MessageOf<C, Topic extends string = string> = C extends string ? Message<Topic> : InferMessage<C, Topic>;

/** How to reach the server, and what to do when that fails. Subscriptions of a page for which all of this is the same share one connection. */
export interface ConnectOptions {
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

export interface SubscribeOptions<C extends ChannelLike, Topic extends TopicOf<C>> extends ConnectOptions, Handlers<MessageOf<C, Topic>> {
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
export function subscribe<const C extends ChannelLike = string, const Topic extends TopicOf<C> = TopicOf<C>>(
  options: SubscribeOptions<C, Topic>,
): Subscription<MessageOf<C, Topic>> {
  const { channel, channels = channel === undefined ? [] : [channel], topics, validate = true, signal } = options;
  if (options.eventSource && !topics) throw new TypeError("eventSource needs topics");
  const known = channels.map((each) => [nameOf(each as Loose), each as Loose] as const);
  const route = routeOf(options);
  const sourceOf = (): Source => {
    const hub = hubFor(route);
    return options.shareTabs?.(hub, route) ?? hub;
  };
  const subscription = createSubscription<MessageOf<C, Topic>>(sourceOf, {
    ...options,
    channels: known.map(([name]) => name),
    topics,
    replay: options.replay ?? "none",
    autoCloseOnTerminal: options.autoCloseOnTerminal && !known[1] && !known[0]?.[0].endsWith("*"),
    schemaOf: (name, topic) =>
      known.find(([own, { $topics }]) => validate && $topics?.[topic] && matches(own, name))?.[1].$topics![topic]!.schema,
  });
  if (signal?.aborted) subscription.close();
  signal?.addEventListener("abort", subscription.close, { once: true });
  return subscription;
}

/** A ChannelLike to look into; a string has none of this. */
type Loose = Partial<AnyChannel & { readonly $name: string }>;

/** A family is asked for by the pattern of its names. */
function nameOf(channel: Loose): string {
  return channel.$name ?? channel.$template?.replace(/\{.*/, "*") ?? (channel as string);
}

function routeOf(options: ConnectOptions): Route {
  const {
    url,
    token,
    fetch,
    reconnect = true,
    reconnectMinMs = 250,
    reconnectMaxMs = 5000,
    heartbeatMs = 15_000,
    eventSource,
    parse = JSON.parse,
  } = options;
  return {
    url,
    token,
    fetch,
    parse,
    transport: eventSource ? overEventSource : overFetch,
    reconnect,
    reconnectMinMs,
    reconnectMaxMs,
    silenceMs: eventSource ? 0 : heartbeatMs * 2.5, // an EventSource does not show heartbeats
  };
}
