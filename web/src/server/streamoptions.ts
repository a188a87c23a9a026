import type { CallOptions } from "./caller.js";

export interface StreamOptions extends CallOptions {
  /** The run that it belongs to. */
  readonly runId?: string | undefined;
  /** The span that it follows from, as in the header of that name (W3C Trace Context). Its readers get it. */
  readonly traceparent?: string | undefined;
}

export interface TextOptions extends StreamOptions {
  /**
   * Identifies the text on its topic: 1 to 64 of `A-Z a-z 0-9 _ . : -`. Publishing under the same id with a
   * higher `attempt` replaces the text. Repeating an attempt that is complete returns its receipt, as a
   * duplicate. Default: a random one.
   */
  readonly streamId?: string | undefined;
  /**
   * The number of this attempt to publish the text, from 1. It rises each time the text has to begin
   * again. Default: 1.
   */
  readonly attempt?: number | undefined;
}

/** How a text is published. */
export interface TextPlan extends TextOptions {
  /**
   * If any attempt is complete, nothing is published. Without an `attempt`, this one is above the latest
   * that the server knows.
   */
  readonly once?: boolean;
}

/** @throws TypeError if it is not the number of an attempt */
export function checkAttempt(attempt: number | undefined): void {
  if (attempt === undefined || (Number.isSafeInteger(attempt) && attempt >= 1)) return;
  throw new TypeError(`The attempt is ${attempt}: attempts are whole numbers from 1`);
}
