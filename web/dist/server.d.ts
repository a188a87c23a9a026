import { _ as text, d as TextRef } from "./shared-channel.js";
import { n as Fault, r as SluiceError } from "./shared-error.js";
import { s as Receipt } from "./shared-request.js";
import { _ as ReplayLimits, a as RunOptions, b as JSONSchemaConverter, c as TextOptions, d as PublishOptions, f as Attributes, g as Definition, h as DefineOptions, i as RunHandle, l as AskOptions, m as Source, n as SluiceServer, o as StreamReceipt, p as PublishResult, r as createServer, s as StreamOptions, t as ServerOptions, u as PublishItem, v as ConverterOptions, y as JSONSchema } from "./shared-server.js";
import { a as CallOptions, i as TokenRequest, n as IssuedToken, r as NamedChannel, t as Grantee } from "./shared-token.js";

// src/server/clienttoken.d.ts
/** A token under Sluice's names, and under those of the `inngest` package. */
interface ClientToken extends IssuedToken {
  /** The token. */
  readonly key: string;
  /** Where clients reach Sluice. */
  readonly apiBaseUrl: string;
}
/**
* Issues a token as the function of that name in `inngest/react` does, for applications that keep its
* name without Inngest. The hooks of `./react` and those of `./inngest/react` take the token.
*/
declare function getClientSubscriptionToken<const C extends Grantee>(sluice: Pick<SluiceServer, "token">, request: Pick<TokenRequest<C>, "channel" | "topics" | "ttl">): Promise<ClientToken>;
export { type AskOptions, type Attributes, type CallOptions, type ClientToken, type ConverterOptions, type DefineOptions, type Definition, type Fault, type Grantee, type IssuedToken, type JSONSchema, type JSONSchemaConverter, type NamedChannel, type PublishItem, type PublishOptions, type PublishResult, type Receipt, type ReplayLimits, type RunHandle, type RunOptions, type ServerOptions, SluiceError, type SluiceServer, type Source, type StreamOptions, type StreamReceipt, type TextOptions, type TextRef, type TokenRequest, createServer, getClientSubscriptionToken, text };