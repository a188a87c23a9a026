import type { AnyChannel, AnyRef, InngestChannel, TextRef } from "../channel.js";
import type { Receipt } from "../message.js";
import type { Fetch } from "../request.js";
import { Caller, type CallOptions } from "./caller.js";
import { define, type DefineOptions, type Definition } from "./define.js";
import type { Source } from "./feed.js";
import { Gatherer } from "./gather.js";
import type { PublishResult } from "./item.js";
import { publish, publishMany, singly, type PublishItem, type PublishOptions } from "./publish.js";
import { runOf, type RunHandle, type RunOptions } from "./run.js";
import { stream } from "./stream.js";
import type { StreamOptions, TextOptions } from "./streamoptions.js";
import type { StreamReceipt } from "./text.js";
import { issue, type Grantee, type IssuedToken, type TokenRequest } from "./token.js";

export interface ServerOptions {
  /** The server's address; a path in it is kept. */
  readonly url: string | URL;
  /** It may do everything. Keep it out of pages; give them tokens. */
  readonly apiKey: string;
  /** Default: the runtime's own. */
  readonly fetch?: Fetch | undefined;
  /**
   * Messages that are published while another one is under way leave together, with as few requests as
   * the limits allow. Everything else is as if each had left by itself. Default: true; false
   * with a `fetch` of your own, which may add to a request what belongs to one message, such as a header.
   */
  readonly gather?: boolean | undefined;
  /** How often to retry a request that failed temporarily. Default: 5; 0: never. */
  readonly retries?: number | undefined;
  /** Upper bound of the random wait before the first retry. It doubles with each. Default: 250 ms. */
  readonly retryMinMs?: number | undefined;
  /** Upper bound of all waits, unless the server asks for more. Default: 5000 ms. */
  readonly retryMaxMs?: number | undefined;
  /** How long the server may take to answer. For a stream, this counts from its end. Default: 30000 ms. */
  readonly timeoutMs?: number | undefined;
}

/**
 * The client of a Sluice server, for programs that hold its API key. It keeps nothing open and may be
 * used concurrently.
 *
 * Every failure is a {@link SluiceError}, except that a call rejects with the signal's reason if its
 * signal aborts. 429 and the server's own 503 mean that nothing was done, so the call is retried after
 * the time that the server asks for. If no answer comes, or a gateway answers (408, 502, 503, 504),
 * nobody knows whether the request was carried out. Then only what is safe to repeat is retried, such
 * as a publish with a `key`. A streamed text continues after any temporary failure; streamed messages are
 * never retried.
 */
export interface SluiceServer {
  /**
   * Publishes a message. Data that breaks the topic's schema is refused before anything is sent
   * (`schema-violation`, status 0). The data is sent as given, not as the schema transforms it:
   * readers do that.
   */
  publish<Input>(ref: AnyRef<Input>, data: NoInfer<Input>, options?: PublishOptions): Promise<Receipt>;
  /**
   * Publishes any number of messages in order, in as few requests as the limits allow. The result has
   * a receipt or an error in the place of each. It rejects only if the signal aborts. A retried message
   * comes after those that succeeded at once.
   */
  publishMany<const Inputs extends readonly unknown[]>(
    items: { readonly [I in keyof Inputs]: PublishItem<Inputs[I]> },
    options?: CallOptions,
  ): Promise<{ -readonly [I in keyof Inputs]: PublishResult }>;
  /**
   * Publishes a text while it is written, such as the answer of a language model, from strings or UTF-8
   * bytes, to a topic that is `text()`. Subscribers read along. It always closes the source.
   *
   * If the connection breaks, the text continues where the server is. The server waits 30 seconds for
   * that (`--text-grace`) before it ends the text as aborted. The client keeps up to 1 MiB that the server
   * may not have. If the server has aborted or lost the text, it begins again as the next attempt. A text
   * that has grown beyond 1 MiB cannot, and fails with `text-lost`.
   *
   * If the source throws, this rejects with what was thrown. Then, or if the signal aborts, subscribers see
   * the text as aborted after those 30 seconds.
   */
  stream(ref: TextRef, source: Source<string | Uint8Array>, options?: TextOptions): Promise<StreamReceipt>;
  /**
   * Publishes messages as the source yields them, over one connection, and returns the results in
   * order. Data that breaks the schema has an error as its result and does not stop the others. If
   * answers do not arrive before a request is complete (Bun, some proxies), it takes several requests.
   * It is not retried: it rejects if the connection breaks, and with what the source throws. It always
   * closes the source.
   */
  stream<Input>(ref: AnyRef<Input>, source: Source<NoInfer<Input>>, options?: StreamOptions): Promise<PublishResult[]>;
  /** Issues a token for a page, or for another program that must not have the API key. */
  token<const C extends Grantee = Grantee>(request: TokenRequest<C>): Promise<IssuedToken>;
  /**
   * Tells the server which messages of a channel, or of a family of channels, are valid. The server
   * then refuses all others, whoever publishes them. A topic of `staticSchema`, or whose validator
   * cannot produce a JSON Schema, is defined without a schema, as the returned definition shows.
   */
  define(channel: AnyChannel | InngestChannel, options?: DefineOptions): Promise<Definition>;
  /**
   * Returns the handle of a run of the job that a channel reports on.
   *
   * @throws TypeError for an attempt that is not a whole number from 1
   */
  run(channel: Grantee, runId: string, options?: RunOptions): RunHandle;
}

/**
 * Creates the client of a server. It sends nothing to the server.
 *
 * @throws TypeError for an invalid address or a missing API key
 */
export function createServer(options: ServerOptions): SluiceServer {
  const {
    url,
    apiKey,
    fetch,
    gather = !fetch,
    retries = 5,
    retryMinMs: minMs = 250,
    retryMaxMs: maxMs = 5000,
    timeoutMs = 30_000,
  } = options;
  if (!url) throw new TypeError("createServer needs a url: is SLUICE_URL set?");
  if (!apiKey) throw new TypeError("createServer needs an apiKey: is SLUICE_API_KEY set?");
  // Look up the runtime's fetch at each call: tests and instrumentation replace it.
  const call: Fetch = (input, init) => (fetch ?? unwrapped(globalThis.fetch))(input, init);
  const caller = new Caller(new URL(url), apiKey, call, { retries, minMs, maxMs }, timeoutMs);
  const publisher = gather ? new Gatherer(caller) : singly(caller);
  return {
    publish: (ref, data, publishOptions = {}) => publish(publisher, ref, data, publishOptions),
    publishMany: (items, callOptions = {}) => publishMany(caller, items, callOptions) as never,
    stream: (ref: AnyRef, source: Source<unknown>, streamOptions: TextOptions = {}) => stream(caller, ref, source, streamOptions) as never,
    token: (request) => issue(caller, request),
    define: (channel, defineOptions = {}) => define(caller, channel, defineOptions),
    run: (channel, runId, runOptions = {}) => runOf(caller, publisher, channel, runId, runOptions),
  };
}

/**
 * Next.js wraps `fetch`. While it serves a page or an action in development, its wrapper reads a request's body
 * to the end before it sends anything, which for a text is when all of it is written.
 */
function unwrapped(fetch: Fetch & { _nextOriginalFetch?: Fetch }): Fetch {
  return fetch._nextOriginalFetch ?? fetch;
}
