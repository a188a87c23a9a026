import type { MergeRule } from "../../src/index.js";

/** A library that puts the parts of an answer together, and parts for it as a model's provider sends them. */
export interface Accumulator<Part extends object = object> {
  /** The merge rules that the documentation recommends, by topic. */
  readonly rules: Readonly<Record<string, MergeRule>>;
  readonly parts: readonly Part[];
  /** Which of the topics a part is published to. */
  topicOf(part: Part): string;
  /** Has the library, as it is, put parts together; the parts may be the beginning of an answer. */
  accumulate(parts: readonly Part[]): Promise<unknown>;
}

/** Makes the body that a server sends which streams events. */
export function eventStream(events: readonly object[]): Response {
  const body = events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join("");
  return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
}
