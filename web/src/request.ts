import { SluiceError, type ErrorDetails } from "./error.js";

/** A credential, or where to get one: it is asked for before each connection. */
export type Token = string | (() => TokenAnswer | Promise<TokenAnswer>);

/** The token itself, or the server's whole answer to `POST /v1/tokens`. */
export type TokenAnswer = string | { readonly token: string };

export type Fetch = typeof globalThis.fetch;

/** Gets the credential; "": none. A failure of its source is an error of code `token`. */
export async function credential(token: Token | undefined): Promise<string> {
  try {
    const answer = typeof token === "function" ? await token() : token;
    return typeof answer === "object" ? answer.token : (answer ?? "");
  } catch (cause) {
    throw cause instanceof SluiceError ? cause : new SluiceError("token", "No token", { cause });
  }
}

export function authorization(token: string): Record<string, string> {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/**
 * The address of an endpoint below the server's, whose path is kept. Without a server it is the
 * page's origin.
 */
export function endpoint(server: string | URL | undefined, path: string): URL {
  const base = new URL(server ?? globalThis.location?.origin ?? "", globalThis.location?.href);
  return new URL(base.pathname.replace(/\/*$/, path), base);
}

/** What there is to say of a network that failed. */
export function lost(cause?: unknown): SluiceError {
  return new SluiceError("network", "Connection lost", { cause });
}

/** Sends a request. A network fault is an error of code `network`; an abort is passed on as it is. */
export function send(fetch: Fetch | undefined, url: URL, init: RequestInit): Promise<Response> {
  return (fetch ?? globalThis.fetch)(url, init).catch((cause: unknown) => {
    throw init.signal?.aborted ? cause : lost(cause);
  });
}

/** Reads the problem document of an answer that is not a success, RFC 9457. */
export async function problemOf(response: Response): Promise<SluiceError> {
  const { status } = response;
  const document = (await response.json().catch(() => null)) as (ErrorDetails & { type?: unknown; title?: string }) | null;
  const {
    type = status === 401 ? "unauthorized" : "http-" + status,
    title = "Status " + status,
    detail,
    errors,
    instance,
  } = document ?? {};
  const retryAfterMs = Number(response.headers.get("retry-after")) * 1000 || undefined;
  const message = detail ? `${title}: ${detail}` : title;
  return new SluiceError(String(type).split("/").pop()!, message, { status, detail, errors, instance, retryAfterMs });
}

/** Whether the same request may succeed a little later. */
export function passing({ status, code }: SluiceError): boolean {
  return ["network", "token"].includes(code as string) || [408, 425, 429].includes(status) || status >= 500;
}
