import { SluiceError } from "../error.js";
import type { Gap, Message, Run } from "../message.js";
import type { Snapshot, Status } from "../snapshot.js";

/** `idle`: not started. The others are those of a subscription. */
export type ConnectionStatus = "idle" | Status;

export type RunStatus = Run["status"];

/** `hidden`: the page is hidden; `disabled`: `enabled` is false. */
export type PauseReason = "hidden" | "disabled" | null;

/** The messages that were received, without the statuses of runs. */
export interface Messages<M extends Message = Message> {
  /** The latest message of each topic, up to date even while the other fields are buffered. */
  readonly byTopic: Snapshot<M>["byTopic"];
  /** The newest messages, up to `historyLimit`, oldest first. A text is one message and grows in place. */
  readonly all: readonly M[];
  /** The newest message, or a text that has grown since. */
  readonly last: M | null;
  /** Each message that is new since the component rendered the previous `delta`. A text that has grown is in it once, as it is now. */
  readonly delta: readonly M[];
}

/** What a component may read of a subscription, apart from the messages. */
export interface Standing {
  readonly connectionStatus: ConnectionStatus;
  readonly isPaused: boolean;
  readonly pauseReason: PauseReason;
  /** The status of the job that the channel reports on. */
  readonly runStatus: RunStatus;
  /** The result with which the run completed. */
  readonly result: unknown;
  /**
   * The error of the connection or of a message (see `Snapshot.error`). Otherwise, if the run has
   * failed, an error of code `run-failed` with the run's error as its `cause`.
   */
  readonly error: SluiceError | null;
  /** The last 100 permanent losses. */
  readonly gaps: readonly Gap[];
}

/** A subscription as a component sees it at one moment. It is immutable: each change makes a new state. */
export interface State<M extends Message = Message> extends Standing, Messages<M> {}

/** The state before a subscription starts, and on a server. */
export const NOTHING: State<never> = {
  connectionStatus: "idle",
  isPaused: false,
  pauseReason: null,
  runStatus: "unknown",
  result: undefined,
  error: null,
  gaps: [],
  byTopic: {},
  all: [],
  last: null,
  delta: [],
};

/** Returns the error of a failed run. */
export function failureOf({ status, error }: Run): SluiceError | null {
  if (status !== "failed") return null;
  const words = (error as Partial<Error> | null | undefined)?.message ?? error;
  return new SluiceError("run-failed", typeof words === "string" ? words : "The run has failed", { cause: error });
}
