import { a as RunStatus, i as PauseReason, n as ConnectionStatus, o as Standing, t as RealtimeOptions } from "./shared-settings.js";
import { o as InferMessage, s as InngestChannel, t as AnyChannel } from "./shared-channel.js";
import { i as DataMessage, o as Message, u as TextStream } from "./shared-request.js";

// src/inngest/react/message.d.ts
/** A channel of the `inngest` package, one of Sluice's own, or the name of one. */
type ChannelInput = string | InngestChannel | AnyChannel;
/** What every message has under the names of Inngest's SDK. */
interface Named {
  readonly createdAt: Date;
  readonly runId?: string;
  /** Sluice does not know it. */
  readonly fnId?: string;
  /** Sluice does not know it. */
  readonly envId?: string;
}
/** A message as Inngest's SDK delivers it. A text is one message, whose `data` is what there is of it. */
type Renamed<M extends Message> = M extends DataMessage ? M & Named : M extends TextStream ? M & Named & {
  readonly data: string;
} : never;
/** Kinds of messages that Inngest's SDK has, so that code which tells them apart compiles. They do not come. */
interface Absent {
  readonly kind: "run" | "datastream-start" | "datastream-end" | "chunk";
  readonly channel: never;
  readonly topic: never;
  readonly data: never;
  readonly createdAt: never;
  readonly runId?: never;
  readonly fnId?: never;
  readonly envId?: never;
  readonly streamId: string;
  readonly stream: ReadableStream<never>;
}
/** A message of a channel that is known by its name alone. */
type Untyped = DataMessage<string, any> & Named;
/** The messages of some topics of a channel. Without topics, it is not known which ones the token grants. */
type MessageOf<C, T extends readonly string[] | undefined> = Absent | Typed<C, T>;
type Typed<C, T> = C extends string ? Untyped : T extends readonly (infer Topic extends string)[] ? Of<C, Topic> : Untyped;
/** The messages of a topic; untyped, if the channel does not define it. */
type Of<C, Topic extends string> = [InferMessage<C, Topic>] extends [never] ? Untyped : Renamed<InferMessage<C, Topic>>;
/** The latest message of each topic. */
type ByTopic<C, T extends readonly string[] | undefined> = T extends readonly (infer Topic extends string)[] ? { [Each in Topic]?: Typed<C, readonly [Each]> } : Record<string, Untyped | undefined>;
/** A token, as `getClientSubscriptionToken` of `inngest/react` returns it. */
interface ClientSubscriptionToken {
  readonly key: string;
  readonly apiBaseUrl?: string;
}
/** A token that says what it is for, as `getSubscriptionToken` of `inngest/realtime` returns it. */
interface SubscriptionToken<C, T> {
  readonly key?: string | undefined;
  readonly apiBaseUrl?: string;
  readonly channel: C;
  readonly topics: T;
}
type Topics = readonly string[] | undefined;
/** The options that are Sluice's under the same name. */
type Shared = "key" | "enabled" | "bufferInterval" | "validate" | "historyLimit" | "reconnect" | "reconnectMinMs" | "reconnectMaxMs" | "pauseOnHidden" | "autoCloseOnTerminal" | "replay" | "fetch";
/** The options of the hook of Inngest's SDK, and `replay` and `fetch`. */
interface UseRealtimeOptions<C extends ChannelInput = ChannelInput, T extends Topics = Topics> extends Pick<RealtimeOptions<string>, Shared> {
  channel?: C | undefined;
  topics?: T;
  token?: ClientSubscriptionToken | SubscriptionToken<ChannelInput, readonly string[]> | (() => Promise<string | ClientSubscriptionToken | SubscriptionToken<ChannelInput, readonly string[]>>) | undefined;
  /** The address of the Sluice server. Default: the one in the token, or else the page's origin. */
  apiBaseUrl?: string | undefined;
}
interface UseRealtimeResult<C extends ChannelInput = ChannelInput, T extends Topics = Topics> extends Pick<Standing, "isPaused" | "result" | "error" | "gaps"> {
  readonly connectionStatus: ConnectionStatus;
  readonly pauseReason: PauseReason;
  /** `running` as soon as it is connected, unless the server knows better. */
  readonly runStatus: RunStatus;
  readonly messages: {
    readonly byTopic: ByTopic<C, T>;
    readonly all: MessageOf<C, T>[];
    readonly last: MessageOf<C, T> | null;
    readonly delta: MessageOf<C, T>[];
  };
  readonly reset: () => void;
}
/**
* The hook `useRealtime` of `inngest/react`, with a Sluice server: it takes the same options and returns
* the same fields.
*/
declare function useRealtime<const C extends ChannelInput = ChannelInput, const T extends Topics = Topics>(options: UseRealtimeOptions<C, T>): UseRealtimeResult<C, T>;
export { type ClientSubscriptionToken, type ConnectionStatus as UseRealtimeConnectionStatus, type UseRealtimeOptions, type UseRealtimeResult, type RunStatus as UseRealtimeRunStatus, useRealtime };