import type { Caller } from "./caller.js";
import { within } from "./deadline.js";
import type { Feed } from "./feed.js";
import { checkAttempt, type TextPlan } from "./streamoptions.js";
import { TextPublisher } from "./textpublisher.js";

/** The answer to a streamed text. */
export interface StreamReceipt {
  readonly stream_id: string;
  /** Into how many pieces the server split it. */
  readonly chunks: number;
  /** Its length in UTF-8. */
  readonly bytes: number;
  /** The id of the message that starts the stream. */
  readonly first_id: string;
  /** The id of the message that ends it. */
  readonly last_id: string;
  /** The text was complete before. */
  readonly duplicate: boolean;
}

/** Publishes a text piece by piece as the source yields it. */
export async function streamText(
  caller: Caller,
  ref: { channel: string; topic: string },
  feed: Feed<unknown>,
  plan: TextPlan,
): Promise<StreamReceipt> {
  checkAttempt(plan.attempt);
  const { signal, done } = within(undefined, plan.signal); // ends what may still wait for the server
  try {
    return Object.assign({ duplicate: false }, await new TextPublisher(caller, ref, feed, plan, signal).run());
  } finally {
    done();
  }
}
