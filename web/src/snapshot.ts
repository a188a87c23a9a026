import type { WireMessage } from "./decode.js";
import type { SluiceError } from "./error.js";
import type { Gap, Message, Run, RunMessage, TextStream } from "./message.js";

export type Status = "connecting" | "open" | "paused" | "closed" | "error";

/** A subscription at one moment. It is immutable: each change makes a new snapshot. */
export interface Snapshot<M extends Message = Message> {
  readonly status: Status;
  /** Why it is paused; null: it is not paused. */
  readonly pauseReason: string | null;
  /**
   * The latest error: the reason for status `error` or `closed`, why it is reconnecting, or a message
   * that is unreadable or breaks its schema. null: none since it opened.
   */
  readonly error: SluiceError | null;
  /** The status of the job. With several channels, the one that was reported last. */
  readonly run: Run;
  /** The last 100 permanent losses. */
  readonly gaps: readonly Gap[];
  readonly last: M | null;
  /** The latest message of each topic. */
  readonly byTopic: { readonly [Topic in M["topic"]]?: Extract<M, { readonly topic: Topic }> };
  /** Everything up to here was delivered. A later subscription can resume from it (`lastEventId`). */
  readonly position: string | null;
}

/** Handlers of a subscription. An error in one is reported and stops nothing. */
export interface Handlers<M extends Message = Message> {
  /** Receives a message. If it returns a promise, the next message waits for it. */
  onMessage?: ((message: M) => unknown) | undefined;
  /** Receives each addition to a text, after onMessage received its start. */
  onChunk?: ((message: Extract<M, TextStream>, chunk: string) => unknown) | undefined;
  /** Receives a change of a run's status. The message has the channel and the time. */
  onRun?: ((run: Run, message: RunMessage) => unknown) | undefined;
  onGap?: ((gap: Gap) => unknown) | undefined;
  /** Is called on each connection when everything that the server had by then has been delivered. */
  onLive?: (() => unknown) | undefined;
  onStatus?: ((status: Status, snapshot: Snapshot<M>) => unknown) | undefined;
  /** Receives a message that is unreadable or whose data breaks the topic's schema. It is not delivered otherwise. The data of an unreadable message may be its text. */
  onInvalid?: ((error: SluiceError, message: WireMessage) => unknown) | undefined;
}
