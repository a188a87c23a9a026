import { s as InngestChannel, t as AnyChannel } from "./shared-channel.cjs";
import { n as ConnectOptions, u as Status } from "./shared-subscribe.cjs";
import { r as SluiceError } from "./shared-error.cjs";

// src/presence/readers.d.ts
/** Who reads a channel at one moment. It is immutable: each change makes a new one. */
interface Presence {
  /** Of the connection. Until it is `open`, the rest is what was last known. `paused`: nothing is followed now. */
  readonly status: Status;
  /** The subjects of the readers' tokens, sorted. It is empty if there are more than 1,000. */
  readonly subjects: readonly string[];
  /** How many there are: subjects, and streams whose token has none. */
  readonly count: number;
  /** There are more than 1,000 subjects: they are counted, and not named. */
  readonly more: boolean;
  /** The reason for status `error` or `closed`, or why it is reconnecting; null: none since it opened. */
  readonly error: SluiceError | null;
}
/** Who came and who went with a change. */
interface PresenceChange {
  readonly joined: readonly string[];
  readonly left: readonly string[];
}
interface PresenceOptions extends Omit<ConnectOptions, "parse" | "shareTabs" | "eventSource"> {
  /** The channel. It must not be a pattern or a whole family of channels. */
  channel: string | AnyChannel | InngestChannel;
  /** Is called after each change. What happens while the connection is lost and made again is one change, if anything is different. */
  onChange?: ((presence: Presence, change: PresenceChange) => unknown) | undefined;
  /** Ends it. */
  signal?: AbortSignal | undefined;
}
/** What {@link followPresence} returns. It lasts until it is closed or refused. */
interface PresenceSubscription {
  /** Returns who is there now. */
  getSnapshot(): Presence;
  /** Calls the listener after each change of the snapshot, until the returned function is called. */
  subscribe(listener: () => void): () => void;
  close(): void;
}
/**
* Follows who reads a channel. The token must grant the topic `$presence` by its name. Whoever
* follows a channel is not among its readers: for that, subscribe to it.
*
* It has a connection of its own, which all who follow the same channel with equal options share.
* It reconnects by itself.
*
* @throws TypeError for a pattern
*/
declare function followPresence(options: PresenceOptions): PresenceSubscription;
export { Presence as a, followPresence as i, PresenceOptions as n, PresenceSubscription as r, PresenceChange as t };