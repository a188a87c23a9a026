import { SluiceError } from "../error.js";
import { bytesOf, hasRoom, publishArray } from "./array.js";
import type { CallOptions, Caller } from "./caller.js";
import type { PublishResult } from "./item.js";
import { mayRepeat, pause } from "./retry.js";

/** A message that waits to be published. */
interface Entry {
  /** Its place among the results. */
  readonly index: number;
  readonly json: string;
  /** It has a key. */
  readonly once: boolean;
}

/** Publishes messages in as few requests as the limits allow, one after the other, and stores each result in its place. */
export class Batch {
  #entries: Entry[] = [];
  #bytes = 0;

  constructor(
    private readonly caller: Caller,
    private readonly options: CallOptions,
    private readonly results: PublishResult[],
  ) {}

  /** Adds a message. This may send earlier ones. */
  async add(index: number, json: string, once: boolean): Promise<void> {
    const bytes = bytesOf(json);
    if (!hasRoom(this.#entries.length, this.#bytes, bytes)) await this.flush();
    this.#entries.push({ index, json, once });
    this.#bytes += bytes;
  }

  /** Sends the messages that wait. */
  async flush(): Promise<void> {
    const entries = this.#entries;
    this.#entries = [];
    this.#bytes = 0;
    await this.#settle(entries);
  }

  /** Publishes entries, and retries temporary failures, until all have their result. */
  async #settle(entries: readonly Entry[]): Promise<void> {
    const { policy } = this.caller;
    let pending = entries;
    for (let failures = 0; pending.length; failures++) {
      const outcomes = await this.#attempt(pending);
      if (!outcomes) return this.#halve(pending);
      const again: Entry[] = [];
      let last: SluiceError | undefined;
      for (const [i, entry] of pending.entries()) {
        const outcome = (this.results[entry.index] = outcomes[i]!);
        if (!(outcome instanceof SluiceError) || !mayRepeat(outcome, entry.once)) continue;
        again.push(entry);
        last = outcome;
      }
      if (!last || failures >= policy.retries) return;
      await pause(policy, failures, last, this.options.signal);
      pending = again;
    }
  }

  /** Sends one request. undefined: it was too large as a whole. */
  async #attempt(entries: readonly Entry[]): Promise<readonly PublishResult[] | undefined> {
    const items = entries.map(({ json }) => json);
    const once = entries.every((entry) => entry.once);
    try {
      return await publishArray(this.caller, items, once, this.options);
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      return error.status === 413 && entries.length > 1 ? undefined : entries.map(() => error);
    }
  }

  /** Continues with two halves, so that a server or proxy with lower limits refuses only messages that are too large by themselves. */
  async #halve(entries: readonly Entry[]): Promise<void> {
    const middle = entries.length >> 1;
    await this.#settle(entries.slice(0, middle));
    await this.#settle(entries.slice(middle));
  }
}
