/** How much is kept at most, in bytes. */
const CAPACITY = 1 << 20;

/**
 * How much is kept although the server has it. A server that crashes may lose what it has confirmed last, and
 * then the text continues before that.
 */
const MARGIN = CAPACITY >> 2;

/** The end of a text that the server may not have yet. All offsets are in bytes from the beginning of the text. */
export class Backlog {
  #bytes = new Uint8Array(1 << 10); // grows up to CAPACITY
  #start = 0;
  #end = 0;

  /** The offset of the first byte that is kept. */
  get start(): number {
    return this.#start;
  }

  /** The offset after the last byte. */
  get end(): number {
    return this.#end;
  }

  get isFull(): boolean {
    return this.#end - this.#start === CAPACITY;
  }

  /** Appends as much of a piece as there is room for, and returns how many bytes that is. */
  add(piece: Uint8Array): number {
    const held = this.#end - this.#start;
    const added = piece.subarray(0, CAPACITY - held);
    this.#reserve(held + added.length);
    this.#bytes.set(added, held);
    this.#end += added.length;
    return added.length;
  }

  /** Drops what comes before an offset, except for a margin. */
  drop(offset: number): void {
    const start = Math.max(this.#start, Math.min(offset, this.#end - MARGIN));
    this.#bytes.copyWithin(0, start - this.#start, this.#end - this.#start);
    this.#start = start;
  }

  /**
   * Returns the offset of the last character before an offset. A request that continues there has something
   * to send at once. Node.js sends nothing of a request before it has some of the body, and the source may
   * be silent for longer than the server waits.
   */
  before(offset: number): number {
    let at = Math.min(offset, this.#end) - this.#start;
    while (at > 0 && (this.#bytes[--at]! & 0xc0) === 0x80);
    return this.#start + at;
  }

  /** Returns a copy of at most max bytes from an offset on, which must be kept. */
  slice(offset: number, max: number): Uint8Array<ArrayBuffer> {
    const from = offset - this.#start;
    return this.#bytes.slice(from, Math.min(from + max, this.#end - this.#start));
  }

  #reserve(size: number): void {
    if (size <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.min(CAPACITY, Math.max(size, this.#bytes.length * 2)));
    grown.set(this.#bytes.subarray(0, this.#end - this.#start));
    this.#bytes = grown;
  }
}
