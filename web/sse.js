// The event stream format of Server-Sent Events,
// https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation

/** The longest line that is read, in UTF-16 units. A server's longest is about 1 MiB. */
const MAX_LINE = 4 * 1024 * 1024;

/**
 * Makes a parser that is fed decoded text in pieces of any size.
 *
 * @param {object} sinks
 * @param {(event: {type: string, data: string, lastEventId: string}) => void} sinks.onEvent
 *   is called for every event that arrived whole.
 * @param {(ms: number) => void} sinks.onRetry is called with the server's reconnection time.
 * @returns {{feed: (text: string) => void}} feed throws a RangeError at a line over 4 Mi units.
 */
export function createParser({ onEvent, onRetry }) {
  let line = ""; // the beginning of a line whose end has not come yet
  let afterCR = false; // an LF that comes next belongs to the CR before it
  let type = "";
  let data = "";
  // An id counts for the events after it too, and only once its block is
  // complete: the position must not move past an event that was cut off.
  let id = "";

  function dispatch() {
    if (data !== "") {
      onEvent({ type: type || "message", data: data.slice(0, -1), lastEventId: id });
    }
    type = data = "";
  }

  function takeField(name, value) {
    if (name === "data") data += value + "\n";
    else if (name === "event") type = value;
    else if (name === "id" && !value.includes("\0")) id = value;
    else if (name === "retry" && /^[0-9]+$/.test(value)) onRetry(Number(value));
  }

  function takeLine(text) {
    if (text === "") return dispatch();
    const colon = text.indexOf(":");
    if (colon === 0) return; // a comment
    if (colon < 0) return takeField(text, "");
    const start = text[colon + 1] === " " ? colon + 2 : colon + 1;
    takeField(text.slice(0, colon), text.slice(start));
  }

  function feed(text) {
    let from = 0;
    if (afterCR && text !== "") {
      if (text[0] === "\n") from = 1;
      afterCR = false;
    }
    const ends = /\r\n|\n|\r/g;
    ends.lastIndex = from;
    for (let end; (end = ends.exec(text)) !== null; from = ends.lastIndex) {
      takeLine(line + text.slice(from, end.index));
      line = "";
      afterCR = end[0] === "\r" && ends.lastIndex === text.length;
    }
    line += text.slice(from);
    if (line.length > MAX_LINE) throw new RangeError("a line of the stream is too long");
  }

  return { feed };
}
