import { Backlog } from "./backlog.js";
import type { Feed } from "./feed.js";
import { PieceEncoder } from "./pieces.js";

/** How much is read at once, in bytes, at most. */
const MAX_READ = 64 << 10;

/** Takes a text from its source as fast as it is read, and keeps its end in a {@link Backlog}. */
export class TextFeed {
  readonly backlog: Backlog = new Backlog();
  /** What the source threw. */
  failure: { readonly error: unknown } | undefined;
  readonly #encoder = new PieceEncoder();
  #rest: Uint8Array = new Uint8Array(); // of the last piece, for which there was no room
  #drained = false; // the source has ended
  #filling: Promise<void> | undefined;

  /** @param room waits until the backlog is not full */
  constructor(
    private readonly feed: Feed<unknown>,
    private readonly room: () => Promise<void>,
  ) {}

  /**
   * Returns a copy of some of the text from an offset on, which must be within the backlog. Nothing: the
   * text ends there. It throws what the source throws. A request that was given up may still be waiting
   * here while the next one reads; both get the same.
   */
  async read(offset: number): Promise<Uint8Array> {
    const { backlog } = this;
    while (offset === backlog.end && !(this.#drained && !this.#rest.length)) {
      if (this.failure) throw this.failure.error;
      await (this.#filling ??= this.#fill().finally(() => (this.#filling = undefined)));
    }
    return backlog.slice(offset, MAX_READ);
  }

  /** Moves some of the text from the source into the backlog, if there is more. */
  async #fill(): Promise<void> {
    try {
      while (!this.#rest.length && !this.#drained) {
        const step = await this.feed.next();
        this.#drained = !!step.done;
        this.#rest = step.done ? this.#encoder.end() : this.#encoder.encode(step.value);
      }
    } catch (error) {
      this.failure = { error };
      throw error;
    }
    if (this.#rest.length) await this.room();
    this.#rest = this.#rest.subarray(this.backlog.add(this.#rest));
  }
}
