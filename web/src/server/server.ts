import type { AnyChannel, TopicRef } from "../channel.js";
import type { Receipt } from "../message.js";
import type { Fetch } from "../request.js";
import { Caller, type CallOptions } from "./caller.js";
import { define, type DefineOptions, type Definition } from "./define.js";
import type { Source } from "./feed.js";
import type { PublishResult } from "./item.js";
import { publish, publishMany, type PublishItem, type PublishOptions } from "./publish.js";
import { runOf, type RunHandle } from "./run.js";
import { stream, type StreamOptions } from "./stream.js";
import type { StreamReceipt } from "./text.js";
import { issue, type Grantee, type IssuedToken, type NamedChannel, type TokenRequest } from "./token.js";

export interface ServerOptions {
  /** The server; a path in it is kept. */
  readonly url: string | URL;
  /** It may do everything: keep it out of pages, which get tokens. */
  readonly apiKey: string;
  /** Default: the runtime's own. */
  readonly fetch?: Fetch | undefined;
  /** How often a request is made again that failed for the moment. Default: 5; 0: never. */
  readonly retries?: number | undefined;
  /** Bound of the random wait before the first of them, which doubles with each. Default: 250 ms. */
  readonly retryMinMs?: number | undefined;
  /** Bound of the longest wait, unless the server asks for more. Default: 5000 ms. */
  readonly retryMaxMs?: number | undefined;
  /** How long one answer may take; streams may take longer. Default: 30000 ms. */
  readonly timeoutMs?: number | undefined;
}

/**
 * A Sluice server, for programs that hold its API key. It keeps nothing open and may be used
 * concurrently.
 *
 * Whatever goes wrong is a {@link SluiceError}, but for a signal that aborts: then a call rejects
 * with the signal's reason. 429 and the server's own 503 say that nothing was done, and are tried
 * again after the time that the server asks for. When no answer comes, or a gateway has the word
 * (408, 502, 503, 504), nobody knows whether it was done: so only what can be done twice without
 * harm is tried again then. A publish is that with a `key`, which is the same each time.
 */
export interface SluiceServer {
  /**
   * Publishes a message. Data that breaks the topic's schema is refused before anything is sent
   * (`schema-violation`, status 0). It is sent as it was given, and not as the schema transforms it:
   * that happens where it is read.
   */
  publish<Input>(ref: TopicRef<string, Input>, data: NoInfer<Input>, options?: PublishOptions): Promise<Receipt>;
  /**
   * Publishes any number of messages in their order, in as few requests as the limits allow. What
   * becomes of each stands in its place: a receipt or an error. It rejects only when the signal
   * aborts. A message that is tried again comes after those that were not.
   */
  publishMany<const Inputs extends readonly unknown[]>(
    items: { readonly [I in keyof Inputs]: PublishItem<Inputs[I]> },
    options?: CallOptions,
  ): Promise<{ -readonly [I in keyof Inputs]: PublishResult }>;
  /**
   * Publishes a text while it is made, such as the answer of a language model: strings, or UTF-8
   * bytes. Subscribers read along. If the source throws they see the text as aborted, and this
   * rejects with what was thrown. The topic's schema does not hold for it, and it is not tried again.
   */
  stream(
    ref: TopicRef,
    source: Source<string | Uint8Array>,
    options?: StreamOptions & { readonly kind?: "stream" },
  ): Promise<StreamReceipt>;
  /**
   * Publishes messages as they come, over one connection, and returns the results in their order;
   * of data that breaks the schema an error, and the others happen. Where answers do not come
   * before a request is complete (Bun, some proxies) it takes several requests. It is not tried
   * again: it rejects when the connection breaks off, and with what the source throws. The source
   * is closed in any case.
   */
  stream<Input>(
    ref: TopicRef<string, Input>,
    source: Source<NoInfer<Input>>,
    options?: StreamOptions & { readonly kind?: "data" },
  ): Promise<PublishResult[]>;
  /** Makes a token for a page or another program that is to have no API key. */
  token<const C extends Grantee = Grantee>(request: TokenRequest<C>): Promise<IssuedToken>;
  /**
   * Tells the server what the messages of a channel, or of a family of channels, have to be like: it
   * then refuses what does not fit, whoever publishes it. A topic whose validator cannot write its
   * schema as JSON Schema, and one of `staticSchema`, is made known without one: the definition
   * that is returned shows it.
   */
  define(channel: AnyChannel, options?: DefineOptions): Promise<Definition>;
  /** A run of the job that a channel reports on. */
  run(channel: NamedChannel | string, runId: string): RunHandle;
}

/**
 * Makes the client of a server. It asks the server for nothing.
 *
 * @throws TypeError for an address that is none, and without an API key
 */
export function createServer(options: ServerOptions): SluiceServer {
  const { url, apiKey, fetch, retries = 5, retryMinMs: minMs = 250, retryMaxMs: maxMs = 5000, timeoutMs = 30_000 } = options;
  if (!apiKey) throw new TypeError("createServer needs an apiKey");
  // The runtime's own is looked up at each call: tests and instrumentation replace it.
  const call: Fetch = (input, init) => (fetch ?? globalThis.fetch)(input, init);
  const caller = new Caller(new URL(url), apiKey, call, { retries, minMs, maxMs }, timeoutMs);
  return {
    publish: (ref, data, publishOptions = {}) => publish(caller, ref, data, publishOptions),
    publishMany: (items, callOptions = {}) => publishMany(caller, items, callOptions) as never,
    stream: (ref: TopicRef, source: Source<unknown>, streamOptions: StreamOptions = {}) =>
      stream(caller, ref, source, streamOptions) as never,
    token: (request) => issue(caller, request),
    define: (channel, defineOptions = {}) => define(caller, channel, defineOptions),
    run: (channel, runId) => runOf(caller, channel, runId),
  };
}
