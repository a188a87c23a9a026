import type { SluiceServer } from "./server.js";
import type { Grantee, IssuedToken, TokenRequest } from "./token.js";

/** A token under Sluice's names, and under those of the `inngest` package. */
export interface ClientToken extends IssuedToken {
  /** The token. */
  readonly key: string;
  /** Where clients reach Sluice. */
  readonly apiBaseUrl: string;
}

/**
 * Issues a token as the function of that name in `inngest/react` does, for applications that keep its
 * name without Inngest. The hooks of `./react` and those of `./inngest/react` take the token.
 */
export async function getClientSubscriptionToken<const C extends Grantee>(
  sluice: Pick<SluiceServer, "token">,
  request: Pick<TokenRequest<C>, "channel" | "topics" | "ttl">,
): Promise<ClientToken> {
  const issued = await sluice.token(request);
  return { ...issued, key: issued.token, apiBaseUrl: issued.url };
}
