import { SluiceError } from "../error.js";
import type { Receipt } from "../message.js";
import type { CallOptions, Caller } from "./caller.js";
import { resultOf, type PublishResult } from "./item.js";

/** How many messages the server accepts in one request. */
const MAX_ITEMS = 1000;

/**
 * How many bytes go into one request, unless a single message is longer. The server accepts more;
 * proxies with default settings accept this much.
 */
const MAX_BYTES = 512 << 10;

/** Measures what an item adds to a request. */
export function bytesOf(json: string): number {
  return new TextEncoder().encode(json).length + 1;
}

/** Reports whether a request that has items of so many bytes has room for one more. */
export function hasRoom(items: number, bytes: number, more: number): boolean {
  return items === 0 || (items < MAX_ITEMS && bytes + more <= MAX_BYTES);
}

/**
 * Publishes items with one request, in order, and returns a result for each. It throws a
 * {@link SluiceError} about the request as a whole, or the signal's reason.
 *
 * @param once repeating all of them has no further effect
 */
export async function publishArray(
  caller: Caller,
  items: readonly string[],
  once: boolean,
  { signal }: CallOptions,
): Promise<PublishResult[]> {
  const answers = await caller.attempt<(Receipt | { status: number })[]>({
    ...{ method: "POST", path: "/v1/publish", body: `[${items.join()}]`, once, signal },
  });
  if (!Array.isArray(answers) || answers.length !== items.length || answers.some((answer) => Object(answer) !== answer)) {
    throw new SluiceError("invalid-answer", "The answer does not have a result for each message");
  }
  return Promise.all(answers.map(resultOf));
}
