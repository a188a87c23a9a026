import type { EventData } from "./member.js";
import type { TextStream } from "./message.js";

/** The longest text that is kept of a stream, in UTF-16 units. */
const MAX_TEXT = 1 << 20;

/** A text while it arrives: what the wire sends in pieces. */
export interface IncomingText {
  /** Takes a piece and returns the text that it adds. */
  take(piece: EventData): string;
  /** Says that a part was lost, and maybe its end: the iterations that have begun come to theirs. It adds nothing. */
  tear(): "";
  /** Nothing more will come. */
  end(): void;
  /** The text as it is now. */
  message(): TextStream;
}

/**
 * @param first the first piece that was received
 * @param wait is fulfilled when something has arrived
 */
export function incomingText(first: EventData, wait: () => Promise<void>): IncomingText {
  let text = "";
  let dropped = 0; // units that were cut from the front
  let missing = +(first.kind !== "datastream-start"); // parts
  let ended = false;
  let state: TextStream["state"] = "open";
  let last: EventData;

  async function* read(): AsyncGenerator<string> {
    const before = missing;
    let at = 0; // units, from the beginning of the stream
    for (;;) {
      const fresh = text.slice(Math.max(0, at - dropped));
      at = dropped + text.length;
      if (fresh) yield fresh;
      else if (ended || missing !== before) return;
      else await wait();
    }
  }

  function take(piece: EventData): string {
    last = piece;
    if (piece.kind === "datastream-end") {
      ended = true;
      state = (piece.data as EventData).reason === "complete" ? "complete" : "aborted";
    }
    if (piece.kind !== "chunk") return "";
    const data = piece.data as string;
    dropped += text.length + data.length;
    text = (text + data).slice(-MAX_TEXT);
    dropped -= text.length;
    return data;
  }

  take(first);
  return {
    take,
    tear() {
      missing++;
      return "";
    },
    end: () => (ended = true),
    message() {
      const { data: _, ...rest } = last;
      return {
        ...(rest as EventData & { stream_id: string }),
        kind: "stream",
        text,
        state,
        partial: missing > 0,
        chunks: { [Symbol.asyncIterator]: read },
      };
    },
  };
}
