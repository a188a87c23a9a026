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

/** Says what is wrong with a text as JSON, "" if nothing is. */
export function jsonFault(text: string): string {
  try {
    const value = JSON.parse(text) as unknown;
    return value !== null && typeof value === "object" && !Array.isArray(value) ? "" : "The document must be an object.";
  } catch (error) {
    return error instanceof Error ? `Not JSON yet: ${error.message}` : "Not JSON yet.";
  }
}

export function keepDraft(name: string, text: string): void {
  drafts.update((present) => ({ ...present, [name]: text }));
}

export function dropDraft(name: string): void {
  drafts.update(({ [name]: _, ...rest }) => rest);
}
