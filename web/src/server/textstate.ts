import { SluiceError } from "../error.js";
import { lost } from "../request.js";
import type { Caller } from "./caller.js";
import { within } from "./deadline.js";

/** How far the server is with a text. */
export interface TextState {
  /** The latest attempt. */
  readonly attempt: number;
  /** How much of it the server has, in bytes of UTF-8. */
  readonly offset: number;
  readonly state: "open" | "complete" | "aborted";
}

/** The codes of refusals. The answer to HEAD has no body that could tell them. */
const CODES: Readonly<Record<number, string>> = { 400: "malformed", 401: "unauthorized", 403: "forbidden" };

/**
 * Asks the server once how far it is with a text. undefined: it does not know the text. It throws a
 * {@link SluiceError}, or the signal's reason.
 */
export async function textState(caller: Caller, url: URL, outer: AbortSignal): Promise<TextState | undefined> {
  const late = (): SluiceError => new SluiceError("network", `The server gave no answer within ${caller.timeoutMs} ms`);
  const { signal, done } = within(caller.timeoutMs, outer, late);
  try {
    return stateOf(await caller.send(url, { method: "HEAD", signal }));
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    if (!(cause instanceof SluiceError)) throw lost(cause);
    const { status, message, retryAfterMs } = cause;
    if (status === 404) return undefined;
    throw status in CODES ? new SluiceError(CODES[status]!, message, { status, retryAfterMs }) : cause;
  } finally {
    done();
  }
}

function stateOf({ headers }: Response): TextState {
  const attempt = Number(headers.get("Stream-Attempt"));
  if (!attempt) throw new SluiceError("invalid-answer", "The answer does not say how far the text is");
  return { attempt, offset: Number(headers.get("Stream-Offset")), state: headers.get("Stream-State") as TextState["state"] };
}
