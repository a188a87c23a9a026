import { SluiceError } from "./error.js";

/** One event as it stood on the wire. */
export interface WireEvent {
  readonly type: string;
  readonly data: string;
  /** The position after it; "": it moves none. */
  readonly id: string;
}

/** The longest line that is read, in UTF-16 units. A server's longest is about 1 Mi. */
const MAX_LINE = 4 << 20;

/**
 * Makes a parser of the event stream as Sluice writes it: a subset of
 * https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 * with line feeds only and an id in every event.
 *
 * An event has no id but its own, and counts once it has arrived whole: the position must not move
 * by what was cut off. Comments, which are heartbeats, come as events of type ":".
 *
 * @returns what to feed decoded text to, in pieces of any size; it throws a {@link SluiceError} of
 *   code `too-large` at a line of more than 4 Mi units
 */
export function parser(onEvent: (event: WireEvent) => void): (text: string) => void {
  let rest = ""; // the beginning of a line whose end has not come yet
  let event = { type: "", data: "", id: "" };

  function takeLine(line: string): void {
    const [, name, value = ""] = /^(\w*): ?(.*)/s.exec(line) ?? [];
    if (name === "data") event.data += value;
    else if (name === "event") event.type = value;
    else if (name === "id") event.id = value;
    else if (name === "") onEvent({ type: ":", data: "{}", id: "" });
    if (line) return;
    if (event.data) onEvent(event);
    event = { type: "", data: "", id: "" };
  }

  return (text) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    lines.forEach(takeLine);
    if (rest.length > MAX_LINE) throw new SluiceError("too-large", "Line too long");
  };
}
