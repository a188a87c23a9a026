// Handles JSON as text. JSON.parse and JSON.stringify would change what a
// publisher sent: 1.0 becomes 1, and integers above 2^53 are rounded.

/** Returns the index after the string that starts at start. */
function stringEnd(text: string, start: number): number {
  let i = start + 1;
  while (i < text.length && text[i] !== '"') i += text[i] === "\\" ? 2 : 1;
  return i + 1;
}

/**
 * Returns the source text of a member of an object, "" if there is no such member.
 *
 * @param text a valid JSON object without insignificant white space
 */
export function memberText(text: string, name: string): string {
  let depth = 0;
  let start = -1; // where the value starts, once its name has been read
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (c === '"') {
      const end = stringEnd(text, i);
      const isName = depth === 1 && text[end] === ":";
      if (isName && text.slice(i + 1, end - 1) === name) start = end + 1;
      i = end - 1;
    } else if (c === "{" || c === "[") depth++;
    else if (c === "}" || c === "]") depth--;
    const over = depth === 0 || (depth === 1 && text[i + 1] === ",");
    if (start >= 0 && i >= start && over) return text.slice(start, depth === 0 ? i : i + 1);
  }
  return "";
}

/**
 * Formats JSON text with two spaces per level. A single string is shown as its
 * content, since that is how streamed text arrives.
 *
 * @param text valid JSON without insignificant white space
 */
export function pretty(text: string): string {
  if (text[0] === '"') return JSON.parse(text) as string;
  let out = "";
  let depth = 0;
  const newLine = (): string => "\n" + "  ".repeat(depth);
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (c === '"') {
      const end = stringEnd(text, i);
      out += text.slice(i, end);
      i = end - 1;
    } else if ((c === "{" && text[i + 1] === "}") || (c === "[" && text[i + 1] === "]")) {
      out += c + text[++i]!;
    } else if (c === "{" || c === "[") {
      depth++;
      out += c + newLine();
    } else if (c === "}" || c === "]") {
      depth--;
      out += newLine() + c;
    } else if (c === ",") out += c + newLine();
    else if (c === ":") out += ": ";
    else out += c;
  }
  return out;
}
