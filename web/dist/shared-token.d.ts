import { p as TopicName, s as InngestChannel, t as AnyChannel } from "./shared-channel.js";

// src/server/caller.d.ts
/** Options that every call takes. */
interface CallOptions {
  /** Ends the call, which rejects with the signal's reason. The server may already have acted on the request. */
  readonly signal?: AbortSignal | undefined;
}
/** One channel of a definition, with its name. */
type NamedChannel = AnyChannel & {
  readonly $name: string;
};
/** What a token can grant: a channel with its topics, also one of the `inngest` package, a name, or a pattern (`pipeline:*`). */
type Grantee = NamedChannel | InngestChannel | string;
/** What a token grants. Options that are left out grant nothing. */
interface TokenRequest<C extends Grantee = Grantee> extends CallOptions {
  /** What the holder may subscribe to. */
  readonly channel?: C;
  readonly channels?: readonly C[];
  /** Default: the topics that the channel defines, or all topics if it is given by name. */
  readonly topics?: readonly (C extends string ? string : TopicName<C>)[];
  /** Also grant who reads the channels, for `@sluicehq/sluice/presence`. Default: false. */
  readonly presence?: boolean;
  /** What the holder may publish to. */
  readonly publish?: readonly {
    readonly channel: string;
    readonly topic: string;
  }[];
  /** The user: streams can be listed, limited and ended by it. */
  readonly sub?: string;
  /** How long it is valid, such as `90s`, `10m` or `1h30m`: from 1 s to what the server allows. Default: 10 minutes. */
  readonly ttl?: string;
}
/** A token. The server does not store it, but can revoke it by its `jti`. */
interface IssuedToken {
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
export { CallOptions as a, TokenRequest as i, IssuedToken as n, NamedChannel as r, Grantee as t };