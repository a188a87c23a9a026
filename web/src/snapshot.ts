import type { SluiceError } from "./error.js";
import type { EventData } from "./member.js";
import type { Gap, Message, Run, RunMessage, TextStream } from "./message.js";

export type Status = "connecting" | "open" | "paused" | "closed" | "error";

/** A subscription at one moment. It does not change; each change makes a new one. */
export interface Snapshot<M extends Message = Message> {
  readonly status: Status;
  /** Why it is paused; null: it is not. */
  readonly pauseReason: string | null;
  /**
   * What went wrong last: the reason of status `error` or `closed`, why the connection was lost
   * that is being made anew, or a message that broke its schema. null: nothing since it opened.
   */
  readonly error: SluiceError | null;
  /** How the job stands; of several channels, the one that was heard of last. */
  readonly run: Run;
  /** What was lost for good, the last 100. */
  readonly gaps: readonly Gap[];
  readonly last: M | null;
  /** The latest message of each topic. */
  readonly byTopic: { readonly [Topic in M["topic"]]?: Extract<M, { readonly topic: Topic }> };
  /** Everything up to here has been handed over: a later subscription can go on from it (`lastEventId`). */
  readonly position: string | null;
}

/** What a subscription calls. What they throw is reported and does not stop it. */
export interface Handlers<M extends Message = Message> {
  /** Takes a message. While a promise that it returns is pending, the next one waits. */
  onMessage?: ((message: M) => unknown) | undefined;
  /** Takes what a text stream has grown by, after onMessage has had its beginning. */
  onChunk?: ((message: Extract<M, TextStream>, chunk: string) => unknown) | undefined;
  /** Takes a change of a run's status; message tells of which channel, and when. */
  onRun?: ((run: Run, message: RunMessage) => unknown) | undefined;
  onGap?: ((gap: Gap) => unknown) | undefined;
  onStatus?: ((status: Status, snapshot: Snapshot<M>) => unknown) | undefined;
  /** Takes a message whose data breaks the topic's schema; it is not handed over. */
  onInvalid?: ((error: SluiceError, message: EventData) => unknown) | undefined;
}
