/** A part of an answer, as the AI SDK streams it to a page. Only what matters here is declared. */
export interface Part {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** Ends a string in the text. */
const SEPARATOR = "\x1e";

/** The types of parts after which a string may follow in the text, and the field that it is of. */
const GROWING = /^(text|reasoning|tool-input)-(start|delta)$/;

function fieldOf({ type }: Part): string {
  return type === "tool-input-delta" ? "inputTextDelta" : "delta";
}

/** Returns the part of which the string after a line is. It lacks the string. undefined: no string follows the line. */
function continued(line: Part): Part | undefined {
  const { type, id, toolCallId } = line;
  const [, kind, what] = GROWING.exec(type) ?? [];
  if (what === "delta") return fieldOf(line) in line ? undefined : line;
  return what ? { type: `${kind}-delta`, ...(id === undefined ? { toolCallId } : { id }) } : undefined;
}

/**
 * Writes parts as a text that is hardly longer than the answer, and that grows with each part.
 *
 * A part is a line of JSON. The strings of parts such as `text-delta` follow, joined and as they are, the line of their start, or
 * if something came in between or they have metadata, a line with all but the string. U+001E ends them. The input of a tool is left
 * out if it is what the strings before it say.
 */
export async function* encode(parts: AsyncIterable<Part>): AsyncGenerator<string> {
  const inputs = inputsOfTools();
  let head: string | undefined; // of the string with which the text ends
  yield "\n"; // the text begins before the first part is there, so readers know of the answer
  for await (const part of parts) {
    const { [fieldOf(part)]: fresh, ...own } = part;
    const line = JSON.stringify(own);
    const grows = line === head;
    const end = head === undefined ? "" : SEPARATOR;
    inputs.add(part);
    // What JSON can express and a text cannot, such as half a character, stays in a line. So does metadata without a string.
    if (GROWING.test(part.type) && typeof fresh === "string" && (fresh || grows) && !/[\x1e\p{Cs}]/u.test(fresh)) {
      yield (grows ? "" : `${end}${line}\n`) + fresh;
      head = line;
    } else {
      const { input, ...others } = part;
      const known = part.type === AVAILABLE && JSON.stringify(inputs.get(part)) === JSON.stringify(input);
      yield `${end}${JSON.stringify(known ? others : part)}\n`;
      const next = continued(part);
      head = next && JSON.stringify(next);
    }
  }
}

const AVAILABLE = "tool-input-available";

/** The inputs of tools, as their strings say. */
function inputsOfTools(): { add(part: Part): void; get(part: Part): unknown } {
  const inputs = new Map<unknown, string>();
  return {
    add({ type, toolCallId, inputTextDelta }) {
      if (type === "tool-input-delta") inputs.set(toolCallId, `${inputs.get(toolCallId) ?? ""}${String(inputTextDelta)}`);
    },
    get({ toolCallId }) {
      try {
        return JSON.parse(inputs.get(toolCallId)!) as unknown;
      } catch {
        return undefined; // it was never sent in strings, or is not JSON
      }
    },
  };
}

/** Reads the text that {@link encode} writes, in pieces of any length. It reports each part, and what has come of each string, at once. */
export function decoder(report: (part: Part) => void): (piece: string) => void {
  const inputs = inputsOfTools();
  let rest = ""; // the beginning of a line
  let string: Part | undefined; // what the string is of that comes

  function take(part: Part): void {
    inputs.add(part);
    report(part);
  }

  function takeLine(line: string): void {
    if (!line) return;
    const part = JSON.parse(line) as Part;
    string = continued(part);
    if (part === string) return;
    take(part.type === AVAILABLE && !("input" in part) ? { ...part, input: inputs.get(part) } : part);
  }

  function takeString(fresh: string): void {
    if (fresh) take({ ...string!, [fieldOf(string!)]: fresh });
  }

  return (piece) => {
    rest += piece;
    for (let end; (end = rest.indexOf(string ? SEPARATOR : "\n")) >= 0; rest = rest.slice(end + 1)) {
      const whole = rest.slice(0, end);
      if (!string) takeLine(whole);
      else {
        takeString(whole);
        string = undefined;
      }
    }
    if (!string) return;
    takeString(rest);
    rest = "";
  };
}
