const REPLACEMENT = "\ufffd";

/**
 * Encodes a text that arrives in pieces, as strings or bytes. The result is valid UTF-8 whatever the
 * source gives: the server would replace other bytes, and count what it has made of them.
 */
export class PieceEncoder {
  // What a piece ends with that is not yet a character; one of the two is empty.
  #high = ""; // the first half of a surrogate pair
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true }); // keeps a byte order mark

  /**
   * @returns a copy of what can be sent so far, possibly nothing
   * @throws TypeError if the piece is not text
   */
  encode(piece: unknown): Uint8Array {
    let text: string;
    if (piece instanceof Uint8Array) text = (this.#high && REPLACEMENT) + this.#decoder.decode(piece, { stream: true });
    else if (typeof piece === "string") text = this.#decoder.decode() + this.#high + piece;
    else throw new TypeError(`A piece of a text is of type ${typeof piece}: neither a string nor a Uint8Array`);
    this.#high = /[\uD800-\uDBFF]$/.test(text) ? text.slice(-1) : "";
    return new TextEncoder().encode(this.#high ? text.slice(0, -1) : text);
  }

  /** Returns the rest: part of a character becomes U+FFFD. */
  end(): Uint8Array {
    const rest = this.#decoder.decode() + (this.#high && REPLACEMENT);
    this.#high = "";
    return new TextEncoder().encode(rest);
  }
}
