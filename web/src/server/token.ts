import type { AnyChannel, TopicName } from "../channel.js";
import type { CallOptions, Caller } from "./caller.js";
import { jsonOf } from "./item.js";

/** One channel of a definition, with its name. */
export type NamedChannel = AnyChannel & { readonly $name: string };

/** A channel that a token can be for: with its topics, by name, or all below a prefix (`pipeline:*`). */
export type Grantee = NamedChannel | string;

/** What a token grants. Options that are left out grant nothing. */
export interface TokenRequest<C extends Grantee = Grantee> extends CallOptions {
  /** What its holder may subscribe to. */
  readonly channel?: C;
  readonly channels?: readonly C[];
  /** Default: the topics that the channel defines; all topics of one that is given by name. */
  readonly topics?: readonly (C extends string ? string : TopicName<C>)[];
  /** What its holder may publish to. */
  readonly publish?: readonly { readonly channel: string; readonly topic: string }[];
  /** Whom it is for: streams can be listed, limited and ended by it. */
  readonly sub?: string;
  /** How long it is good, `90s`, `10m`, `1h30m`: from 1 s to what the server allows. Default: 10 minutes. */
  readonly ttl?: string;
}

/** A token. The server does not keep it; it can be revoked by its `jti`. */
export interface IssuedToken {
  readonly token: string;
  readonly token_type: "Bearer";
  readonly jti: string;
  /** RFC 3339 in UTC. */
  readonly expires_at: string;
  /** Where to subscribe, ready for an EventSource: it has the token in it. */
  readonly subscribe_url: string;
}

interface Grant {
  readonly channel: string;
  readonly topics: readonly string[];
}

/** Makes a token. An attempt without an answer is repeated: a token that nobody has received harms nobody. */
export function issue<C extends Grantee>(caller: Caller, request: TokenRequest<C>): Promise<IssuedToken> {
  return caller.call({ method: "POST", path: "/v1/tokens", body: jsonOf(bodyOf(request)), once: true, signal: request.signal });
}

/** Writes a request in the short form where that is possible. */
function bodyOf<C extends Grantee>({ channel, channels = [], topics, publish = [], sub, ttl }: TokenRequest<C>): object {
  const subscribe = [...(channel === undefined ? [] : [channel]), ...channels].map((each) => grantOf(each, topics));
  if (subscribe.length === 1 && !publish.length && sub === undefined) return { ...subscribe[0], ttl };
  return {
    sub,
    ttl,
    ...(subscribe.length && { subscribe }),
    ...(publish.length && { publish: byChannel(publish) }),
  };
}

function grantOf(channel: Grantee, topics: readonly string[] | undefined): Grant {
  if (typeof channel === "string") return { channel, topics: topics ?? ["*"] };
  return { channel: channel.$name, topics: topics ?? Object.keys(channel.$topics) };
}

function byChannel(refs: readonly { channel: string; topic: string }[]): Grant[] {
  const topics = new Map<string, Set<string>>();
  for (const { channel, topic } of refs) topics.set(channel, (topics.get(channel) ?? new Set()).add(topic));
  return Array.from(topics, ([channel, each]) => ({ channel, topics: [...each] }));
}
