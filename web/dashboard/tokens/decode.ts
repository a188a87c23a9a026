/** What a token says of itself. Nothing of it is verified. */
export interface Decoded {
  readonly header: Readonly<Record<string, unknown>>;
  readonly claims: Readonly<Record<string, unknown>>;
}

/**
 * Reads a JWT without asking anybody.
 *
 * @returns what is wrong with it, or what it says
 */
export function decode(token: string): Decoded | string {
  const parts = token.trim().split(".");
  if (parts.length !== 3) return "A token has three parts, with dots between them.";
  try {
    const [header, claims] = parts.slice(0, 2).map((part) => objectOf(part));
    return { header: header!, claims: claims! };
  } catch {
    return "This is not a token: its parts are not JSON in base64url.";
  }
}

function objectOf(part: string): Record<string, unknown> {
  const bytes = Uint8Array.from(atob(part.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  const value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) as unknown;
  if (value === null || typeof value !== "object" || Array.isArray(value)) throw new TypeError("not an object");
  return value as Record<string, unknown>;
}

/** Returns the id that revokes a token: the text itself, or the jti of the token that it is. "" if there is none. */
export function jtiOf(text: string): string {
  const trimmed = text.trim();
  if (!trimmed.includes(".")) return trimmed;
  const decoded = decode(trimmed);
  return typeof decoded === "object" && typeof decoded.claims["jti"] === "string" ? decoded.claims["jti"] : "";
}
