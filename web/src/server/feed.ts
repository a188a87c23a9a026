/** Anything that yields values one after the other. */
export type Source<T> = AsyncIterable<T> | Iterable<T> | ReadableStream<T>;

/** Takes the values of a source, one at a time. */
export class Feed<T> {
  readonly #iterator: AsyncIterator<T> | Iterator<T>;
  #closed = false;

  /** @throws TypeError if it is not a source */
  constructor(source: Source<T>) {
    // A text is one value, not an iterable of its characters or bytes.
    const whole: object = isText(source) ? [source] : source;
    if (Symbol.asyncIterator in whole) this.#iterator = (whole as AsyncIterable<T>)[Symbol.asyncIterator]();
    else if (Symbol.iterator in whole) this.#iterator = (whole as Iterable<T>)[Symbol.iterator]();
    else throw new TypeError("The source is neither iterable nor a ReadableStream");
  }

  /**
   * Tells the source that nothing more will be taken. It does not wait for the source, which might
   * first finish its next value.
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    void (async () => this.#iterator.return?.())().catch(() => undefined);
  }

  /** Takes the next value. It throws what the source throws. */
  async next(): Promise<IteratorResult<T>> {
    if (this.#closed) return { done: true, value: undefined };
    try {
      const step = await this.#iterator.next();
      if (step.done) this.#closed = true;
      return step;
    } catch (error) {
      this.#closed = true; // as in a for loop
      throw error;
    }
  }
}

function isText(source: unknown): boolean {
  return typeof source === "string" || source instanceof Uint8Array;
}
