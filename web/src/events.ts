import { SluiceError } from "./error.js";

/** One event as it is on the wire. */
export interface WireEvent {
  readonly type: string;
  readonly data: string;
  /** The position after it; "": the event does not move it. */
  readonly id: string;
}

/** The longest line that is accepted, in UTF-16 units. The server's longest is about 1 Mi. */
const MAX_LINE = 4 << 20;

/**
 * Creates a parser for event streams as Sluice writes them: a subset of
 * https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 * with line feeds only and an id in every event.
 *
 * An event does not inherit the id of an earlier one, and counts only once it is complete: an event
 * that was cut off must not move the position. Comments are heartbeats and become events of type ":".
 *
 * @returns a function that takes decoded text in pieces of any size. It throws a {@link SluiceError}
 *   of code `too-large` at a line of more than 4 Mi units
 */
export function parser(onEvent: (event: WireEvent) => void): (text: string) => void {
  let rest = ""; // the start of a line that is not complete yet
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
    const lines = text.split("\n"); // does not search the rest again
    lines[0] = rest + lines[0]!;
    rest = lines.pop()!;
    lines.forEach(takeLine);
    if (rest.length > MAX_LINE) throw new SluiceError("too-large", "Line too large");
  };
}
