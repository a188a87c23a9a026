import type { StreamEvent } from "./decode.js";
import type { SluiceError } from "./error.js";

/** What to receive before the live messages: the latest message of each topic, everything that the server holds, or up to this many messages of each channel. */
export type Replay = "none" | "latest" | "all" | number;

/** A subscription as its pool sees it. */
export interface PoolMember {
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

/** Reports whether a member wants an event. The channel of an unreadable event may be unknown. */
export function concerns({ channels, topics }: PoolMember, { type, topic, value: { channel } }: StreamEvent): boolean {
  if (topics && type === "message" && !topics.includes(topic)) return false;
  return !channel || !channels.length || channels.some((own) => matches(own, channel) || matches(channel, own));
}

/** Reports whether a name or pattern stands for a channel. */
export function matches(pattern: string, name: string): boolean {
  return pattern === name || (pattern.endsWith("*") && name.startsWith(pattern.slice(0, -1)));
}
