import { a as Gap, c as Run, o as Message } from "./shared-request.js";
import { r as SluiceError } from "./shared-error.js";
import { r as Replay } from "./shared-pool.js";
import { a as TopicOf, i as SubscribeOptions, l as Snapshot, t as ChannelLike, u as Status } from "./shared-subscribe.js";

// src/react/state.d.ts
/** `idle`: not started. The others are those of a subscription. */
type ConnectionStatus = "idle" | Status;
type RunStatus = Run["status"];
/** `hidden`: the page is hidden; `disabled`: `enabled` is false. */
type PauseReason = "hidden" | "disabled" | null;
/** The messages that were received, without the statuses of runs. */
interface Messages<M extends Message = Message> {
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
interface Standing {
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
/**
* What to subscribe to, and how. All options can be inline. A new subscription starts, with nothing
* received, when the value of `key`, `url`, the names of the channels, `topics` or `replay` changes.
* The latest token and handlers are always used. The other options are read when a subscription starts.
*/
interface RealtimeOptions<C extends ChannelLike = ChannelLike, Topic extends TopicOf<C> = TopicOf<C>> extends Omit<SubscribeOptions<C, Topic>, "signal" | "until" | "onLive"> {
  /** A new key starts a new subscription. */
  key?: string | number | undefined;
  /** false disconnects; true resumes where the subscription stopped. Default: true. */
  enabled?: boolean | undefined;
  /** Pause while the page is hidden, and resume when it is visible again. Default: true. */
  pauseOnHidden?: boolean | undefined;
  /** The minimum time between two changes of `all`, `last` and `delta`. Default: 0 ms. Messages that arrive together always make one change. */
  bufferInterval?: number | undefined;
  /** How many messages `all` keeps; null: all of them. Default: 100. */
  historyLimit?: number | null | undefined;
  /** What to receive before the live messages. Default: "latest". */
  replay?: Replay | undefined;
  /** With a single channel, close when its run has ended. Default: true. */
  autoCloseOnTerminal?: boolean | undefined;
}
export { RunStatus as a, PauseReason as i, ConnectionStatus as n, Standing as o, Messages as r, RealtimeOptions as t };