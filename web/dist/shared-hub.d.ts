import { r as SluiceError } from "./shared-error.js";
import { n as Token, t as Fetch } from "./shared-request.js";

// src/member.d.ts
/** What a stream without a position begins with: the newest message of each topic, all that the server holds, or so many of each channel. */
type Replay = "none" | "latest" | "all" | number;
/** The data of an event, decoded and not checked: each event has the fields of its kind, and the others are undefined. */
interface EventData {
  readonly id: string;
  readonly channel: string;
  readonly topic: string;
  readonly kind: "data" | "run" | "datastream-start" | "chunk" | "datastream-end";
  readonly data: unknown;
  readonly run_id?: string;
  readonly stream_id?: string;
  readonly created_at: string;
  readonly resumes_at: string | null;
  readonly code: number;
  readonly reason: string;
  readonly reconnect: boolean;
  readonly retry_after_ms?: number;
}
/** A subscription, as the connection sees it that serves it among others. */
interface Member {
  /** Names and patterns; none: what the token names. */
  readonly channels: readonly string[];
  /** undefined: all that are granted. */
  readonly topics: readonly string[] | undefined;
  readonly replay: Replay;
  /** It shares a connection with no other. */
  alone: boolean;
  /** Everything up to here was taken; null: nothing yet. */
  position: string | null;
  /**
  * Takes an event: `$open`; what concerns it and lies after its position, which is moved before;
  * or ":" and `$position`, which say that all there is has been sent.
  */
  take(type: string, value: EventData, id: string): void;
  /** The connection was lost and will be made anew. */
  lost(error: SluiceError): void;
  /** It is over. closed: the server has ended the stream. */
  failed(error: SluiceError, closed: boolean): void;
}
/** What a connection asks the server for. */
interface Ask {
  readonly url: URL;
  /** Where to go on; null: at the beginning. */
  readonly position: string | null;
  /** The topics that may come, as far as they are known. */
  readonly topics: readonly string[];
}
/** One event as it stood on the wire. */
interface WireEvent {
  readonly type: string;
  readonly data: string;
  /** The position after it; "": it moves none. */
  readonly id: string;
}
/** One connection from its request to its end. */
interface Attempt extends Ask {
  readonly token: string;
  readonly signal: AbortSignal;
  readonly fetch: Fetch | undefined;
  onEvent(event: WireEvent): void;
  /** Something was received, be it a heartbeat. */
  onSign(): void;
}
/** Carries an attempt. It comes back at the end of the stream and throws a {@link SluiceError} for any other end. */
type Transport = (attempt: Attempt) => Promise<void>;
/** Where connections lead, and how they are kept up. */
interface Route {
  readonly url: string | URL | undefined;
  readonly token: Token | undefined;
  readonly fetch: Fetch | undefined;
  readonly transport: Transport;
  readonly parse: (json: string) => unknown;
  readonly reconnect: boolean;
  readonly reconnectMinMs: number;
  readonly reconnectMaxMs: number;
  /** After so long without a sign of life a connection is taken for dead; 0: never. */
  readonly silenceMs: number;
}
/** Where a subscription gets its events from. */
interface Source {
  add(member: Member): void;
  remove(member: Member): void;
}
export { Replay as i, Route as n, EventData as r, Source as t };