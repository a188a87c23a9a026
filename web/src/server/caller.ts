import { orAbort } from "../abort.js";
import { SluiceError } from "../error.js";
import { authorization, endpoint, problemOf, type Fetch } from "../request.js";
import { within } from "./deadline.js";
import { retrying, type RetryPolicy } from "./retry.js";

/** Options that every call takes. */
export interface CallOptions {
  /** Ends the call, which rejects with the signal's reason. The server may already have acted on the request. */
  readonly signal?: AbortSignal | undefined;
}

/** A request whose answer is JSON. */
export interface Question extends CallOptions {
  readonly method: "GET" | "POST" | "PUT";
  /** A `$` stands for a name that is in the query instead, where proxies and parsers leave it alone. */
  readonly path: string;
  readonly query?: readonly (readonly [name: string, value: string])[];
  /** JSON. */
  readonly body?: string;
  /** Repeating it has no further effect. */
  readonly once: boolean;
}

/** Goes with a body that is a stream: `fetch` wants to be told. */
export const STREAMED = { duplex: "half" } as RequestInit;

/** Sends requests to one server with one API key. It holds no state and may be used concurrently. */
export class Caller {
  constructor(
    readonly url: URL,
    readonly apiKey: string,
    readonly fetch: Fetch,
    readonly policy: RetryPolicy,
    /** How long the server may take to answer one attempt of {@link call}, or a complete stream. */
    readonly timeoutMs: number,
  ) {}

  /** Repeats a request until it succeeds or must not be repeated, and reads the answer. */
  call<T>(question: Question): Promise<T> {
    return retrying(this.policy, { once: question.once, signal: question.signal }, () => this.attempt<T>(question));
  }

  /** Makes a request once. It throws a {@link SluiceError}, or the signal's reason. */
  async attempt<T>({ method, path, query = [], body, once, signal: outer }: Question): Promise<T> {
    const url = endpoint(this.url, path);
    for (const [name, value] of query) url.searchParams.append(name, value);
    const { signal, done } = within(this.timeoutMs, outer, () => unanswered(url, once, new Error(`no answer within ${this.timeoutMs} ms`)));
    try {
      const response = await this.send(url, { method, signal, ...(body !== undefined && { body }) }, body && "application/json");
      return (await orAbort(response.json(), signal)) as T;
    } catch (cause) {
      if (signal.aborted) throw signal.reason;
      if (cause instanceof SyntaxError) throw new SluiceError("invalid-answer", "The answer is not JSON", { cause }); // of a portal
      throw cause instanceof SluiceError ? cause : unanswered(url, once, cause);
    } finally {
      done();
    }
  }

  /**
   * Sends one request with the credential. An answer other than a success is thrown as a
   * {@link SluiceError}; what `fetch` throws is passed on.
   *
   * It does not set request fields that only browsers use, because some edge runtimes refuse them.
   */
  async send(url: URL, init: RequestInit, contentType?: string): Promise<Response> {
    const { fetch } = this; // as a method call it would get the wrong `this`
    const headers = {
      ...authorization(this.apiKey),
      ...(contentType && { "Content-Type": contentType }),
      ...(init.headers as Record<string, string>),
    };
    const request = async (): Promise<Response> => {
      const response = await fetch(url, { ...init, headers });
      if (!response.ok) throw await problemOf(response, url);
      return response;
    };
    return orAbort(request(), init.signal ?? undefined); // fetch may not know the signal
  }
}

/** The error of a request without an answer: nobody knows whether it was carried out. */
export function unanswered({ origin }: URL, once: boolean, cause: unknown): SluiceError {
  const doubt = once ? "" : "; it may have happened all the same, and is not repeated: with a key it could be";
  return new SluiceError("network", `No answer from ${origin}${reasonOf(cause)}${doubt}`, { cause });
}

/** Why there was no connection, if the runtime says so: ` (ECONNREFUSED)`. */
function reasonOf(cause: unknown): string {
  const { code } = Object((cause as Error | undefined)?.cause) as { code?: unknown };
  return typeof code === "string" ? ` (${code})` : "";
}
