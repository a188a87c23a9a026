import { refuse, session } from "./session.js";

/** One fault of a document that the server has refused. */
export interface Fault {
  readonly pointer: string;
  readonly detail: string;
}

/** Why the server did not do something. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  constructor(
    message: string,
    /** The status of the answer; 0: there was none. */
    readonly status: number,
    readonly faults: readonly Fault[] = [],
  ) {
    super(message);
  }
}

export interface Call {
  readonly method?: "GET" | "PUT" | "POST" | "DELETE";
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** The media type of the body; JSON by default. */
  readonly type?: string;
  readonly signal?: AbortSignal;
}

const TIMEOUT_MS = 30_000;

/**
 * Calls the API with the key of the session. Names go into the query, with `$` in their place in
 * the path: proxies change what is in a path.
 *
 * @throws {Refusal}, or the error of the signal
 */
export async function call<T>(
  path: string,
  { method = "GET", query = {}, body, type = "application/json", signal }: Call = {},
): Promise<T> {
  const { key } = session.get();
  const url = new URL(path, document.baseURI);
  url.search = new URLSearchParams(query).toString();
  const answer = await fetch(url, {
    method,
    headers: { Authorization: `Bearer ${key}`, ...(body !== undefined && { "Content-Type": type }) },
    ...(body !== undefined && { body }),
    cache: "no-store",
    credentials: "omit",
    referrerPolicy: "no-referrer",
    signal: AbortSignal.any([AbortSignal.timeout(TIMEOUT_MS), ...(signal ? [signal] : [])]),
  }).catch((error: unknown) => {
    if (signal?.aborted) throw error;
    throw new Refusal("The server did not answer.", 0);
  });
  if (answer.ok) return (answer.status === 204 ? undefined : await answer.json()) as T;
  const refusal = await refusalOf(answer);
  if (answer.status === 401 && session.get().key === key) refuse("The server no longer accepts this key.");
  throw refusal;
}

/** Reads why a request was refused: from a problem document (RFC 9457), else from the status. */
export async function refusalOf(answer: Response): Promise<Refusal> {
  const plain = new Refusal(`${answer.status} ${answer.statusText}`.trim(), answer.status);
  if (!(answer.headers.get("content-type") ?? "").startsWith("application/problem+json")) return plain;
  try {
    const { title, detail, errors = [] } = (await answer.json()) as { title: string; detail?: string; errors?: Fault[] };
    return new Refusal(detail ? `${title}: ${detail}` : title, answer.status, errors);
  } catch {
    return plain;
  }
}

/** Returns what to tell of an error, in one or more lines. */
export function explain(error: unknown): string {
  if (!(error instanceof Refusal)) return error instanceof Error ? error.message : String(error);
  const head = error.status ? `${error.status} ${error.message}` : error.message;
  return [head, ...error.faults.map(({ pointer, detail }) => `${pointer || "(whole document)"}: ${detail}`)].join("\n");
}
