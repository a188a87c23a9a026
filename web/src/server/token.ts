import { nameOf, topicsOf, type AnyChannel, type InngestChannel, type TopicName } from "../channel.js";
import type { CallOptions, Caller } from "./caller.js";
import { jsonOf } from "./item.js";

/** One channel of a definition, with its name. */
export type NamedChannel = AnyChannel & { readonly $name: string };

/** What a token can grant: a channel with its topics, also one of the `inngest` package, a name, or a pattern (`pipeline:*`). */
export type Grantee = NamedChannel | InngestChannel | string;

/** What a token grants. Options that are left out grant nothing. */
export interface TokenRequest<C extends Grantee = Grantee> extends CallOptions {
  /** What the holder may subscribe to. */
  readonly channel?: C;
  readonly channels?: readonly C[];
  /** Default: the topics that the channel defines, or all topics if it is given by name. */
  readonly topics?: readonly (C extends string ? string : TopicName<C>)[];
  /** Also grant who reads the channels, for `@sluicehq/sluice/presence`. Default: false. */
  readonly presence?: boolean;
  /** What the holder may publish to. */
  readonly publish?: readonly { readonly channel: string; readonly topic: string }[];
  /** The user: streams can be listed, limited and ended by it. */
  readonly sub?: string;
  /** How long it is valid, such as `90s`, `10m` or `1h30m`: from 1 s to what the server allows. Default: 10 minutes. */
  readonly ttl?: string;
}

/** A token. The server does not store it, but can revoke it by its `jti`. */
export interface IssuedToken {
  readonly token: string;
  readonly token_type: "Bearer";
  readonly jti: string;
  /** RFC 3339 in UTC. */
  readonly expires_at: string;
  /** Where clients reach the server. They use it if they are given no address. */
  readonly url: string;
  /** The address to subscribe at, with the token in it, ready for an EventSource. */
  readonly subscribe_url: string;
}

interface Grant {
  readonly channel: string;
  readonly topics: readonly string[];
}

/** Issues a token. An attempt without an answer is repeated: a token that nobody received does no harm. */
export function issue<C extends Grantee>(caller: Caller, request: TokenRequest<C>): Promise<IssuedToken> {
  return caller.call({ method: "POST", path: "/v1/tokens", body: jsonOf(bodyOf(request)), once: true, signal: request.signal });
}

/** Uses the short form of the request if possible. */
function bodyOf<C extends Grantee>({ channel, channels = [], topics, presence, publish = [], sub, ttl }: TokenRequest<C>): object {
  const system = presence ? ["$presence"] : []; // no other topic includes it
  const subscribe = [...(channel === undefined ? [] : [channel]), ...channels].map((each) => grantOf(each, topics, system));
  if (subscribe.length === 1 && !publish.length && sub === undefined) return { ...subscribe[0], ttl };
  return {
    sub,
    ttl,
    ...(subscribe.length && { subscribe }),
    ...(publish.length && { publish: byChannel(publish) }),
  };
}

function grantOf(channel: Grantee, topics: readonly string[] | undefined, system: readonly string[]): Grant {
  const defined = topicsOf(channel);
  return { channel: nameOf(channel), topics: [...(topics ?? (defined ? Object.keys(defined) : ["*"])), ...system] };
}

function byChannel(refs: readonly { channel: string; topic: string }[]): Grant[] {
  const topics = new Map<string, Set<string>>();
  for (const { channel, topic } of refs) topics.set(channel, (topics.get(channel) ?? new Set()).add(topic));
  return Array.from(topics, ([channel, each]) => ({ channel, topics: [...each] }));
}
