/**
 * Sluice for programs that hold an API key: publishing, tokens, definitions and durable runs. It needs
 * `fetch`, Web Streams and Web Crypto, so it runs in Node 20, Deno, Bun and edge runtimes.
 *
 * @module
 */
export { text, type TextRef } from "../channel.js";
export { SluiceError, type Fault } from "../error.js";
export type { Receipt } from "../message.js";
export type { AskOptions } from "./ask.js";
export type { CallOptions } from "./caller.js";
export { getClientSubscriptionToken, type ClientToken } from "./clienttoken.js";
export type { DefineOptions, Definition, ReplayLimits } from "./define.js";
export type { Source } from "./feed.js";
export type { Attributes, PublishResult } from "./item.js";
export type { ConverterOptions, JSONSchema, JSONSchemaConverter } from "./jsonschema.js";
export type { PublishItem, PublishOptions } from "./publish.js";
export type { RunHandle, RunOptions } from "./run.js";
export { createServer, type ServerOptions, type SluiceServer } from "./server.js";
export type { StreamOptions, TextOptions } from "./streamoptions.js";
export type { StreamReceipt } from "./text.js";
export type { Grantee, IssuedToken, NamedChannel, TokenRequest } from "./token.js";
