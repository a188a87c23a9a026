import type { TextPiece } from "./decode.js";
import type { TextStream } from "./message.js";

/** How much of a text is kept, in UTF-16 units. */
const MAX_TEXT = 1 << 20;

/** How much more may be there before the beginning is dropped, because dropping copies the rest. */
const SLACK = MAX_TEXT >> 2;

/** A text that arrives in pieces. */
export interface IncomingText {
  readonly channel: string;
  /** It has been handed over, and further pieces are, too. */
  isShown: boolean;
  /** Takes a piece and returns what it adds to the text. */
  take(piece: TextPiece): string;
  /**
   * A gap may have taken a part, perhaps the end: the iterations that have begun end. Reports whether
   * an earlier gap may have, too, and nothing has shown since that it did not.
   */
  tear(): boolean;
  /** Nothing more will come. */
  end(): void;
  /** The text as it is now. */
  message(): TextStream;
}

/**
 * Collects a text. A chunk that has an offset is put where it belongs, so the text is right whatever
 * is sent twice, and it is known whether something is missing.
 *
 * @param first the first piece that was received
 * @param wait is fulfilled when something has arrived
 */
export function incomingText(first: TextPiece, wait: () => Promise<void>): IncomingText {
  const readers = new Set<{ fresh: string }>(); // with what each has not been given
  let text = "";
  let bytes = 0; // of UTF-8, from the beginning of the text to the end of what is there
  let lossy = false; // something is missing
  let doubtful = first.kind !== "datastream-start"; // something may be missing
  let tears = 0;
  let ended = false;
  let state: TextStream["state"] = "open";
  let last: TextPiece;

  async function* read(): AsyncGenerator<string> {
    const before = tears;
    const reader = { fresh: text };
    readers.add(reader);
    try {
      for (;;) {
        const { fresh } = reader;
        reader.fresh = "";
        if (fresh) yield fresh;
        else if (ended || tears !== before) return;
        else await wait();
      }
    } finally {
      readers.delete(reader);
    }
  }

  /** Returns what is new in a chunk. Without an offset, all of it is. */
  function place(data: string, offset = bytes): string {
    const encoded = new TextEncoder().encode(data);
    const known = bytes - offset; // bytes of it that are there already
    lossy ||= known < 0;
    bytes = Math.max(bytes, offset + encoded.length);
    return known > 0 ? new TextDecoder(undefined, { ignoreBOM: true }).decode(encoded.subarray(known)) : data;
  }

  function append(fresh: string): string {
    const whole = text + fresh;
    text = clip(whole);
    lossy ||= text.length < whole.length;
    for (const reader of readers) reader.fresh = clip(reader.fresh + fresh);
    return fresh;
  }

  function take(piece: TextPiece): string {
    last = piece;
    if (piece.kind === "datastream-end") {
      ended = true;
      state = piece.data.reason;
    }
    if (piece.kind !== "chunk") return "";
    doubtful &&= piece.offset === undefined; // it tells whether something is missing
    return append(place(piece.data, piece.offset));
  }

  take(first);
  return {
    channel: first.channel,
    isShown: false,
    take,
    tear() {
      const before = doubtful;
      doubtful = true;
      tears++;
      return before;
    },
    end: () => (ended = true),
    message() {
      const { data: _, offset: __, ...rest } = last;
      return {
        ...rest,
        kind: "stream",
        text,
        complete: state === "complete",
        state,
        partial: lossy || doubtful,
        chunks: { [Symbol.asyncIterator]: read },
      };
    },
  };
}

function clip(text: string): string {
  return text.length > MAX_TEXT + SLACK ? text.slice(-MAX_TEXT) : text;
}
