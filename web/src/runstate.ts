import type { Run, RunMessage } from "./message.js";
import { notAfter, type MaybePosition } from "./position.js";

/** What a subscription knows of the runs of its channels. */
export interface RunState {
  /** Reports whether a status is news. Each connection starts with the latest one, and a merged connection repeats others. */
  isNew(message: RunMessage): boolean;
  /** Takes a status that is handed over, from an event with this id. */
  take(message: RunMessage, id: string): Run;
  /** Everything that the server had has arrived. */
  caughtUp(): undefined;
  /** Reports whether the run has ended and everything up to its end was handed over. */
  isOver(position: MaybePosition): boolean;
}

export function createRunState(): RunState {
  const latest = new Map<string, string>(); // the id of the latest status, by channel
  let end: { readonly id: string; caughtUp: boolean } | undefined; // of the run
  return {
    isNew({ channel, id }) {
      if (notAfter(id, latest.get(channel))) return false;
      latest.set(channel, id);
      return true;
    },
    take({ id, run_id, data }, at) {
      const run = { run_id, ...data };
      end = run.status === "running" ? undefined : { id, caughtUp: id === at };
      return run;
    },
    caughtUp() {
      if (end) end.caughtUp = true;
      return undefined;
    },
    isOver: (position) => !!end && (end.caughtUp || notAfter(end.id, position)),
  };
}
