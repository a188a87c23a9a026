import { ring, wait, type Bell } from "./bell.js";
import type { TextPiece } from "./decode.js";
import { matches } from "./poolmember.js";
import { incomingText, type IncomingText } from "./text.js";

/** The texts of a subscription that have begun and not ended. */
export interface Texts {
  /** Adds a piece to its text, or starts one with it, which is returned. */
  add(piece: TextPiece): IncomingText | undefined;
  /** Marks the texts of a channel, which may be a pattern, as torn by a gap. */
  tear(channel: string): void;
  /** Reports whether a loop waits for more of a text. Reading must go on then: the events in the inbox may wait for that very loop. */
  isAwaited(): boolean;
  /** No more pieces will come. */
  end(): void;
}

/**
 * @param bell rings when something has arrived
 * @param onAwaited is told when a loop begins to wait for more of a text
 * @param onGrown is told of a text that was handed over and has changed, and of what was added to it
 */
export function createTexts(bell: Bell, onAwaited: () => void, onGrown: (text: IncomingText, chunk: string) => void): Texts {
  const open = new Map<string, IncomingText>();
  let waiting = 0; // loops

  async function waitForMore(): Promise<void> {
    if (!waiting++) ring(bell);
    onAwaited();
    await wait(bell);
    waiting--;
  }

  function grown(text: IncomingText, chunk: string): void {
    ring(bell);
    if (text.isShown) onGrown(text, chunk);
  }

  return {
    add(piece) {
      const id = [piece.channel, piece.topic, piece.stream_id].join(); // its publisher may have chosen the stream id
      const known = open.get(id);
      let begun: IncomingText | undefined;
      if (known && piece.kind !== "datastream-start") grown(known, known.take(piece));
      else {
        known?.end(); // it starts over
        open.set(id, (begun = incomingText(piece, waitForMore)));
      }
      if (piece.kind === "datastream-end") open.delete(id);
      return begun;
    },
    tear(channel) {
      for (const [id, text] of open) {
        if (!matches(channel, text.channel)) continue;
        // This gap may have taken the end of a text with an earlier tear. If pieces still come, they start it again.
        if (text.tear()) open.delete(id);
        grown(text, "");
      }
    },
    isAwaited: () => waiting > 0,
    end: () => open.forEach((text) => text.end()),
  };
}
