import type { Grant } from "../base/types.js";

/**
 * Reads grants as people write them: a channel or pattern a line, and the topics after it. Without
 * topics, the line grants all of them.
 */
export function grantsOf(text: string): Grant[] {
  return text
    .split("\n")
    .map((line) =>
      line
        .trim()
        .split(/[\s,]+/)
        .filter(Boolean),
    )
    .flatMap(([channel, ...topics]) => (channel === undefined ? [] : [{ channel, topics: topics.length > 0 ? topics : ["*"] }]));
}

/** The opposite of {@link grantsOf}. */
export function textOf(grants: readonly Grant[]): string {
  return grants.map(({ channel, topics }) => [channel, ...topics].join(" ")).join("\n");
}
