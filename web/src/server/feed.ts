/** Whatever gives one value after the other. */
export type Source<T> = AsyncIterable<T> | Iterable<T> | ReadableStream<T>;

/** Takes the values of a source, one at a time. */
export class Feed<T> {
  readonly #iterator: AsyncIterator<T> | Iterator<T>;
  #next: Promise<IteratorResult<T>> | undefined;
  #closed = false;

  /** @throws TypeError for what is no source */
  constructor(source: Source<T>) {
    // A text by itself is one value, and not an iterable of its characters or bytes.
    const whole = typeof source === "string" || (source as unknown) instanceof Uint8Array ? ([source] as unknown as Iterable<T>) : source;
    if (Symbol.asyncIterator in whole) this.#iterator = (whole as AsyncIterable<T>)[Symbol.asyncIterator]();
    else if (Symbol.iterator in whole) this.#iterator = whole[Symbol.iterator]();
    else throw new TypeError("The source is neither iterable nor a ReadableStream");
  }

  /** The next value, which stays the next one. */
  peek(): Promise<IteratorResult<T>> {
    this.#next ??= this.#step();
    this.#next.catch(() => undefined); // whoever asked may have left
    return this.#next;
  }

  /** The next value. What the source throws is thrown here. */
  next(): Promise<IteratorResult<T>> {
    const next = this.peek();
    this.#next = undefined;
    return next;
  }

  /**
   * Tells the source that nothing more will be taken of it. That is not waited for, since a source
   * that is busy with its next value would hear of it only afterwards.
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    void (async () => this.#iterator.return?.())().catch(() => undefined);
  }

  async #step(): Promise<IteratorResult<T>> {
    if (this.#closed) return { done: true, value: undefined };
    try {
      const step = await this.#iterator.next();
      if (step.done) this.#closed = true;
      return step;
    } catch (error) {
      this.#closed = true; // as a for loop sees it, too
      throw error;
    }
  }
}
