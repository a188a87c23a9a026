import type { TokenAnswer } from "../../request.js";

/** A token, as `getClientSubscriptionToken` of `inngest/react` returns it. */
export interface ClientSubscriptionToken {
  readonly key: string;
  readonly apiBaseUrl?: string;
}

/** A token that says what it is for, as `getSubscriptionToken` of `inngest/realtime` returns it. */
export interface SubscriptionToken<C, T> {
  readonly key?: string | undefined;
  readonly apiBaseUrl?: string;
  readonly channel: C;
  readonly topics: T;
}

/**
 * Returns what a key stands for: the address to subscribe at, with the token in it, if the key comes from
 * Inngest's SDK, whose `apiBaseUrl` is then that of Inngest. Otherwise the key is the token itself.
 */
export function answerOf(given: string | { readonly key?: string | undefined; readonly apiBaseUrl?: string }): TokenAnswer {
  const { key = "", apiBaseUrl } = typeof given === "string" ? { key: given } : given;
  const [, url, token] = /^(https?:.*)\/v1\/subscribe\?access_token=([^&]*)/.exec(key) ?? [];
  return token === undefined ? { token: key, url: apiBaseUrl } : { token, url };
}
