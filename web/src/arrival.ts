import type { StreamEvent, TextPiece } from "./decode.js";
import type { Item, Queued } from "./inbox.js";
import type { RunState } from "./runstate.js";
import type { IncomingText } from "./text.js";
import type { Texts } from "./texts.js";

/** Returns what has to be handed over because of an event; undefined: nothing. A piece of a text that has begun is only added to it. */
export function arrive(event: StreamEvent, runs: RunState, texts: Texts): Item | undefined {
  const { type, value } = event;
  let text: IncomingText | undefined;
  try {
    if (type === ":" || type === "$position") return runs.caughtUp();
    if (event.fault) text = undefined;
    else if (type === "$gap") texts.tear(value.channel);
    else if (type === "$run" ? !runs.isNew(value) : !/^(m|.l)/.test(type))
      return undefined; // $open, or what only later versions know
    else if (isPiece(value) && !(text = texts.add(value))) return undefined;
  } catch (fault) {
    event = { ...event, fault }; // parse() has changed its form
  }
  return { event: event as Queued, text };
}

function isPiece(value: object): value is TextPiece {
  return !!(value as Partial<TextPiece>).stream_id;
}
