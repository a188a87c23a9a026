import type { SluiceError } from "./error.js";

/** What a stream without a position begins with: the newest message of each topic, all that the server holds, or so many of each channel. */
export type Replay = "none" | "latest" | "all" | number;

/** The data of an event, decoded and not checked: each event has the fields of its kind, and the others are undefined. */
export interface EventData {
  // of a message, and some of them of other events
  readonly id: string;
  readonly channel: string;
  readonly topic: string;
  readonly kind: "data" | "run" | "datastream-start" | "chunk" | "datastream-end";
  readonly data: unknown;
  readonly run_id?: string;
  readonly stream_id?: string;
  readonly created_at: string;
  // of $gap
  readonly resumes_at: string | null;
  // of $close
  readonly code: number;
  readonly reason: string;
  readonly reconnect: boolean;
  readonly retry_after_ms?: number;
}

/** A subscription, as the connection sees it that serves it among others. */
export interface Member {
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

/** Whether a member wants an event. */
export function concerns({ channels, topics }: Member, type: string, { channel }: { channel: string }): boolean {
  if (topics && type[0] !== "$" && !topics.includes(type)) return false;
  return !channels.length || channels.some((own) => matches(own, channel) || matches(channel, own));
}

/** Whether a name or pattern stands for a channel. */
export function matches(pattern: string, name: string): boolean {
  return pattern === name || (pattern.endsWith("*") && name.startsWith(pattern.slice(0, -1)));
}
