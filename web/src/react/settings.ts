import type { Replay } from "../member.js";
import type { ChannelLike, ConnectOptions, SubscribeOptions, TopicOf } from "../subscribe.js";

/**
 * What to subscribe to, and how. Everything can be given inline: a subscription begins anew, with
 * nothing received, when `key`, `url`, the names of the channels, `topics` or `replay` have become
 * others. The token and the handlers are taken as they are when they are called; the other
 * options as they are when a subscription begins.
 */
export interface RealtimeOptions<C extends ChannelLike = ChannelLike, Topic extends TopicOf<C> = TopicOf<C>> extends Omit<
  SubscribeOptions<C, Topic>,
  "signal"
> {
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

/** The options of a hook with those that it has from the provider. */
export interface Settings extends RealtimeOptions<ChannelLike, string> {
  /** The token is the hook's own, and may be another function each time. The provider's is always the same. */
  readonly ownToken: boolean;
}

/**
 * Completes the options of a hook. The provider's token goes nowhere but to the provider's server,
 * and the connection of a hook with a token of its own is not shared with other tabs.
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

/** What makes a subscription another one. */
export function identityOf({ key, url, channel, channels = [channel!], topics, replay }: Settings): string {
  return JSON.stringify([key, url, channels.map(nameOf).sort(), topics && [...topics].sort(), replay]);
}

function nameOf(channel: ChannelLike | undefined): unknown {
  return typeof channel === "object" && "$name" in channel ? channel.$name : typeof channel === "string" ? channel : channel?.$template;
}
