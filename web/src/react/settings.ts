import { nameOf } from "../channel.js";
import type { Replay } from "../poolmember.js";
import type { ChannelLike, ConnectOptions, SubscribeOptions, TopicOf } from "../subscribe.js";

/**
 * What to subscribe to, and how. All options can be inline. A new subscription starts, with nothing
 * received, when the value of `key`, `url`, the names of the channels, `topics` or `replay` changes.
 * The latest token and handlers are always used. The other options are read when a subscription starts.
 */
export interface RealtimeOptions<C extends ChannelLike = ChannelLike, Topic extends TopicOf<C> = TopicOf<C>> extends Omit<
  SubscribeOptions<C, Topic>,
  "signal" | "until" | "onLive"
> {
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

/** The options of a hook, completed with those of the provider. */
export interface Settings extends RealtimeOptions<ChannelLike, string> {
  /** The token is the hook's own, whose function may change. The provider's never does. */
  readonly ownToken: boolean;
}

/**
 * Completes the options of a hook. The provider's token goes only to the provider's server, and a
 * hook with its own token does not share its connection with other tabs.
 */
export function settle(options: object, provided: ConnectOptions): Settings {
  const own: RealtimeOptions<ChannelLike, string> = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const ownToken = "token" in own;
  return {
    replay: "latest",
    autoCloseOnTerminal: true,
    ...("url" in own ? { fetch: provided.fetch } : provided),
    ...(ownToken && { shareTabs: undefined }),
    ...own,
    ownToken,
  };
}

/** Returns what identifies a subscription. */
export function identityOf({ key, url, channel, channels = [channel!], topics, replay }: Settings): string {
  return JSON.stringify([key, url, channels.map((each) => each && nameOf(each)).sort(), topics && [...topics].sort(), replay]);
}
