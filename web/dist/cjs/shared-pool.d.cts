import { a as Gap, i as DataMessage, l as RunMessage, n as Token, t as Fetch } from "./shared-request.cjs";
import { r as SluiceError } from "./shared-error.cjs";

// src/events.d.ts
/** One event as it is on the wire. */
interface WireEvent {
  readonly type: string;
  readonly data: string;
  /** The position after it; "": the event does not move it. */
  readonly id: string;
}
/** A piece of a text, as the wire carries it. */
type TextPiece = Omit<DataMessage, "kind" | "data"> & {
  readonly stream_id: string;
  readonly offset?: number;
} & ({
  readonly kind: "datastream-start";
  readonly data: unknown;
} | {
  readonly kind: "chunk";
  readonly data: string;
} | {
  readonly kind: "datastream-end";
  readonly data: {
    readonly reason: "complete" | "aborted" | "superseded";
  };
});
/** A message as the wire carries it. */
type WireMessage = DataMessage | TextPiece | RunMessage;
/** Why the server ends a stream, and whether the client may come back. */
interface Close {
  readonly code: number;
  readonly reason: string;
  readonly reconnect: boolean;
  readonly retry_after_ms?: number;
  /** Set if only this channel is concerned. */
  readonly channel?: string;
}
interface Open {
  readonly channel?: undefined;
  readonly heartbeat_ms?: number;
}
interface Nothing {
  readonly channel?: undefined;
}
/**
* An event, decoded but not checked. The type of a message is `message`, whatever its topic. A type
* that starts with `$` and is not listed here comes from a later version of the server.
*/
type StreamEvent = ({
  readonly type: "$open";
  readonly value: Open;
} | {
  readonly type: "$close";
  readonly value: Close;
} | {
  readonly type: "$gap";
  readonly value: Gap;
} | {
  readonly type: "$run";
  readonly value: RunMessage;
} | {
  readonly type: "$live";
  readonly value: Nothing;
} | {
  readonly type: "$position" | ":";
  readonly value: Nothing;
} | {
  readonly type: "message";
  readonly value: DataMessage | TextPiece;
}) & {
  /** The type on the wire, which is the topic of a message. */readonly topic: string; /** The position after the event; "": the event does not move it. */
  readonly id: string; /** The length of the data on the wire, in UTF-16 units. */
  readonly size: number; /** Why the data could not be read. The value is then whatever could be made of it. */
  readonly fault?: unknown;
};
/** What to receive before the live messages: the latest message of each topic, everything that the server holds, or up to this many messages of each channel. */
type Replay = "none" | "latest" | "all" | number;
/** A subscription as its pool sees it. */
interface PoolMember {
  /** Names and patterns. If there are none, the token decides. */
  readonly channels: readonly string[];
  /** undefined: every topic that the token grants. */
  readonly topics: readonly string[] | undefined;
  readonly replay: Replay;
  /** The server is to end the stream with the run of the channel. Such a member has a connection of its own. */
  readonly until?: "end" | undefined;
  /** It must not share a connection: it names no channels, ends with a run, or was too slow for the others. */
  alone: boolean;
  /** Everything up to here was taken; null: nothing yet. */
  position: string | null;
  /** The position with which it came to the connection it has now. */
  resumedAt?: string | null;
  /**
  * Takes `$open`, every event that concerns the member and that it has not had yet, and the events
  * ":" and `$position`, which say that everything before them was sent. The position is moved first.
  */
  take(event: StreamEvent): void;
  /**
  * Returns undefined while there is room for more, and otherwise a promise that is fulfilled when
  * something was taken, after which there may be room.
  *
  * @param scale how many times the usual amount may wait
  */
  room(scale: number): Promise<void> | undefined;
  /** Nothing was taken for too long: the member must leave the connection until it has room. */
  rest(): void;
  /** The connection was lost and will be made again. */
  onLost(error: SluiceError): void;
  /** It is over. closed: the server ended the stream. */
  onEnd(error: SluiceError, closed: boolean): void;
}
/** What a connection asks the server for. */
interface Ask {
  readonly url: URL;
  /** The position to resume after; null: none. */
  readonly position: string | null;
  /** The topics that may arrive, as far as they are known. */
  readonly topics: readonly string[];
}
/** One connection from its request to its end. */
interface Attempt extends Ask {
  readonly token: string;
  readonly signal: AbortSignal;
  readonly fetch: Fetch | undefined;
  onEvent(event: WireEvent): void;
  /** Something was received, if only a heartbeat. */
  onSign(): void;
  /** Is fulfilled when there is room for more. Until then nothing is read, and the server buffers. */
  untilRoom(): Promise<void>;
}
/** Carries out an attempt. It returns at the end of the stream and throws a {@link SluiceError} in any other case. */
type Transport = (attempt: Attempt) => Promise<void>;
/** How to reach a server, and how to keep a connection alive. */
interface Route {
  readonly url: string | URL | undefined;
  readonly token: Token | undefined;
  readonly tokenTimeoutMs: number | undefined;
  readonly fetch: Fetch | undefined;
  readonly transport: Transport;
  readonly parse: (json: string) => unknown;
  readonly reconnect: boolean;
  readonly reconnectMinMs: number;
  readonly reconnectMaxMs: number;
  /** A connection without a sign of life for this long counts as dead; 0: never; undefined: the server decides. */
  readonly silenceMs: number | undefined;
}
/** Serves subscriptions to one server. */
interface Pool {
  add(member: PoolMember): void;
  remove(member: PoolMember): void;
}
export { WireMessage as i, Route as n, Replay as r, Pool as t };