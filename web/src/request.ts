import { SluiceError, type ErrorDetails } from "./error.js";
import { atMost } from "./timer.js";

/** A credential, or a function that gets one and is called before each connection. */
export type Token = string | (() => TokenAnswer | Promise<TokenAnswer>);

/** The token itself, the server's answer to `POST /v1/tokens`, or a `Response` with either of them as its body. */
export type TokenAnswer = string | { readonly token: string; readonly url?: string | undefined } | Response;

/** What a request needs of a token. */
export interface Credential {
  /** "": none is needed. */
  readonly token: string;
  /** Where the token says that the server is. */
  readonly url?: string | undefined;
}

export type Fetch = typeof globalThis.fetch;

/** How long getting a token may take. */
const TOKEN_TIMEOUT_MS = 30_000;

/** Returned by {@link latestOf} for no token at all. Any other answer without a token is an error. */
const NO_TOKEN: Credential = { token: "" };

/** Returns a token function that never changes and always gives the latest token. */
export function latestOf(get: () => Token | undefined): Token {
  return () => {
    const token = get();
    return typeof token === "function" ? token() : (token ?? NO_TOKEN);
  };
}

/**
 * Gets the credential. A function that throws, takes too long, or returns no
 * token is an error of code `token`, because the next attempt may succeed.
 */
export async function credential(token: Token | undefined, timeoutMs: number = TOKEN_TIMEOUT_MS): Promise<Credential> {
  if (typeof token !== "function") return { token: token ?? "" };
  try {
    return await atMost(timeoutMs, tokenOf(token));
  } catch (cause) {
    throw cause instanceof SluiceError ? cause : new SluiceError("token", `No token: ${(cause as Error)?.message}`, { cause });
  }
}

async function tokenOf(source: () => TokenAnswer | Promise<TokenAnswer>): Promise<Credential> {
  let answer: Partial<Response> | TokenAnswer | null = await source();
  if (answer === NO_TOKEN) return NO_TOKEN;
  if (typeof (answer as Partial<Response> | null)?.text === "function") {
    const response = answer as Response;
    if (!response.ok) {
      const cause = await problemOf(response);
      throw new SluiceError("token", `No token: ${cause.message}`, { cause, retryAfterMs: cause.retryAfterMs });
    }
    const text = await response.text();
    try {
      answer = JSON.parse(text) as TokenAnswer;
    } catch {
      answer = text;
    }
  }
  const { token = answer, url } = Object(answer) as { token?: unknown; url?: string };
  // Whatever a header cannot carry is not a token but, for example, an HTML page.
  if (typeof token === "string" && /^[!-~]+$/.test(token.trim())) return { token: token.trim(), url };
  throw new Error("the answer has none");
}

export function authorization(token: string): Record<string, string> {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/**
 * Returns the address of an endpoint. It keeps the path of the server's address. The default server
 * is the page's origin.
 */
export function endpoint(server: string | URL | undefined, path: string): URL {
  const base = new URL(server ?? globalThis.location?.origin ?? "", globalThis.location?.href);
  return new URL(base.pathname.replace(/\/*$/, path), base);
}

/**
 * The error for a network failure.
 *
 * @param server set if it has never answered: a page cannot see whether it is down or refuses the page's origin
 */
export function lost(cause?: unknown, server?: URL | false): SluiceError {
  const page = globalThis.location?.origin;
  const what = page && server && server.origin !== page ? "it up, with --cors-origins " + page : "it up";
  return new SluiceError("network", server ? absent(server, what) : "Connection lost", { cause });
}

/** Says that there is no Sluice, but something else that answers or nothing at all. */
export function absent({ origin }: URL, what = "`url` set"): string {
  return `No Sluice at ${origin}: is ${what}?`;
}

/** The error for a runtime that lacks a feature. No retry would help. */
export function unsupported(feature: string): SluiceError {
  return new SluiceError("unsupported", `This runtime has no ${feature}`);
}

/**
 * Sends a request. A network failure is an error of code `network`; an abort is passed on unchanged.
 *
 * @param known set if the server has answered before
 */
export async function send(fetch: Fetch | undefined, url: URL, init: RequestInit, known?: unknown): Promise<Response> {
  const request = fetch ?? globalThis.fetch;
  if (!request) throw unsupported("fetch");
  try {
    return await request(url, init);
  } catch (cause) {
    throw init.signal?.aborted ? cause : lost(cause, !known && url);
  }
}

/**
 * Reads the problem document, RFC 9457, of an unsuccessful response. If the connection breaks before
 * its end, the failure is the network's: nobody knows what the server had to say.
 *
 * @param url where a Sluice server should be, which answers every request with such a document
 */
export async function problemOf(response: Response, url?: URL): Promise<SluiceError> {
  const { status } = response;
  const {
    type = status === 401 ? "unauthorized" : "http-" + status,
    title = url && status === 404 ? absent(url) : "Status " + status,
    detail,
    errors,
    instance,
  } = Object(
    await response.json().catch((cause: unknown) => {
      if ((cause as Error).name !== "SyntaxError") throw lost();
    }),
  ) as ErrorDetails & { type?: unknown; title?: string };
  const retryAfterMs = +response.headers.get("retry-after")! * 1000 || undefined;
  const message = detail ? title + ": " + detail : title;
  return new SluiceError(String(type).split("/").pop()!, message, { status, detail, errors, instance, retryAfterMs });
}

/** Reports whether the same request may succeed a little later. */
export function transient({ status, code }: SluiceError): boolean {
  return ["network", "token"].includes(code as string) || [408, 425, 429].includes(status) || status >= 500;
}
