import { createStore, type Store } from "../base/store.js";
import type { Definition } from "../base/types.js";

/** What has been typed and not saved, by the name of the definition; it outlasts a look at another section. */
export const drafts: Store<Readonly<Record<string, string>>> = createStore<Readonly<Record<string, string>>>({});

/** Stands for the definition that is being added: no name has a space. */
export const ADDED = " ";

/** What a new definition begins with. */
export const EXAMPLE = `{
  "topics": {
    "status": {
      "schema": {
        "type": "object",
        "required": ["message"],
        "properties": {
          "message": { "type": "string" }
        }
      }
    }
  },
  "strict": false
}`;

/** Returns the document of a definition as it is edited: without the name, which stands beside it. */
export function documentOf({ name: _, ...rest }: Definition): string {
  return JSON.stringify(rest, null, 2);
}

/** Reports whether a text is read as JSON: if it begins with a brace. Everything else is YAML. */
export function isJSON(text: string): boolean {
  return text.trimStart().startsWith("{");
}

/** Says what is wrong with a text that can be seen without the server, "" if nothing is. */
export function faultIn(text: string): string {
  if (text.trim() === "") return "The definition is empty. {} is one that allows everything.";
  if (!isJSON(text)) return "";
  try {
    JSON.parse(text);
    return "";
  } catch (error) {
    return `Not JSON yet: ${error instanceof Error ? error.message : ""}`;
  }
}

/** Returns where in a text a fault is, as an index; undefined if what is said of it does not name the line. */
export function indexOf(text: string, fault: string): number | undefined {
  const [, line, column = "1"] = /\bline (\d+)(?:,? column (\d+))?/.exec(fault) ?? [];
  if (line === undefined) return undefined;
  const before = text.split("\n").slice(0, Number(line) - 1);
  return Math.min(text.length, before.reduce((sum, { length }) => sum + length + 1, 0) + Number(column) - 1);
}

export function keepDraft(name: string, text: string): void {
  drafts.update((present) => ({ ...present, [name]: text }));
}

export function dropDraft(name: string): void {
  drafts.update(({ [name]: _, ...rest }) => rest);
}
