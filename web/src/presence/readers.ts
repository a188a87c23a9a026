import type { SluiceError } from "../error.js";
import type { Status } from "../snapshot.js";

/** Who reads a channel at one moment. It is immutable: each change makes a new one. */
export interface Presence {
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

/** The data of an event on the topic `$presence`. */
export interface PresenceEvent {
  /** `joined` is everybody, and what was told before does not count. */
  readonly state?: boolean;
  readonly joined: readonly string[];
  readonly left: readonly string[];
  readonly count: number;
  /** The next event belongs to this one. */
  readonly partial?: boolean;
  readonly more?: boolean;
}

/** Nothing is known. */
export const NOBODY: Presence = { status: "connecting", subjects: [], count: 0, more: false, error: null };

/** Creates what keeps the subjects: it returns what is known after an event, undefined if the next one belongs to it. */
export function createReaders(): (event: PresenceEvent) => Pick<Presence, "subjects" | "count" | "more"> | undefined {
  const names = new Set<string>();
  return ({ state, joined, left, count, partial, more = false }) => {
    if (state) names.clear();
    for (const name of joined) names.add(name);
    for (const name of left) names.delete(name);
    return partial ? undefined : { subjects: [...names].sort(), count, more };
  };
}
