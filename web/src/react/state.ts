import { SluiceError } from "../error.js";
import type { Gap, Message, Run } from "../message.js";
import type { Snapshot, Status } from "../snapshot.js";

/** `idle`: nothing has begun. The others are those of a subscription. */
export type ConnectionStatus = "idle" | Status;

export type RunStatus = Run["status"];

/** `hidden`: nobody sees the page; `disabled`: `enabled` is false. */
export type PauseReason = "hidden" | "disabled" | null;

/** What has been received. The statuses of runs are not among it. */
export interface Messages<M extends Message = Message> {
  /** The latest message of each topic: at once, also when the others are buffered. */
  readonly byTopic: Snapshot<M>["byTopic"];
  /** The newest messages, oldest first, up to `historyLimit`. A text is one of them, and grows in its place. */
  readonly all: readonly M[];
  /** The newest message, or the text that has grown since. */
  readonly last: M | null;
  /** What is new since the component was rendered with the `delta` before: each message once; of a text that has grown, how it is now. */
  readonly delta: readonly M[];
}

/** What a component may read of a subscription, beside the messages. */
export interface Standing {
  readonly connectionStatus: ConnectionStatus;
  readonly isPaused: boolean;
  readonly pauseReason: PauseReason;
  /** How the job stands that the channel reports on. */
  readonly runStatus: RunStatus;
  /** What the run has resulted in. */
  readonly result: unknown;
  /**
   * What is wrong: with the connection or a message (see `Snapshot.error`); otherwise, when the run
   * has failed, an error of code `run-failed` whose `cause` is what the run gave as its error.
   */
  readonly error: SluiceError | null;
  /** What was lost for good, the last 100. */
  readonly gaps: readonly Gap[];
}

/** A subscription as a component sees it, at one moment. It does not change; each change makes a new one. */
export interface State<M extends Message = Message> extends Standing, Messages<M> {}

/** What there is before a subscription, and on a server. */
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

/** What a failed run is to those who look for errors. */
export function failureOf({ status, error }: Run): SluiceError | null {
  if (status !== "failed") return null;
  const words = (error as Partial<Error> | null | undefined)?.message ?? error;
  return new SluiceError("run-failed", typeof words === "string" ? words : "The run has failed", { cause: error });
}
