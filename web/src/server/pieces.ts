/** Encodes a text that comes in pieces, as strings or as bytes. */
export class PieceEncoder {
  #high = ""; // the first half of a character that a string ended with

  /**
   * @returns what can be sent of it by now; it may be nothing
   * @throws TypeError for what is no text
   */
  encode(piece: unknown): Uint8Array {
    if (piece instanceof Uint8Array) return this.#high ? join(this.end(), piece) : piece;
    if (typeof piece !== "string") throw new TypeError(`A piece of a text is of type ${typeof piece}: neither a string nor a Uint8Array`);
    const text = this.#high + piece;
    this.#high = /[\uD800-\uDBFF]$/.test(text) ? text.slice(-1) : "";
    return new TextEncoder().encode(this.#high ? text.slice(0, -1) : text);
  }

  /** What is left: half a character, as U+FFFD. */
  end(): Uint8Array {
    const rest = new TextEncoder().encode(this.#high);
    this.#high = "";
    return rest;
  }
}

function join(a: Uint8Array, b: Uint8Array): Uint8Array {
  const whole = new Uint8Array(a.length + b.length);
  whole.set(a);
  whole.set(b, a.length);
  return whole;
}
