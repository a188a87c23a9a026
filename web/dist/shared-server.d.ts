import { d as TextRef, l as MergeRule, n as AnyRef, s as InngestChannel, t as AnyChannel } from "./shared-channel.js";
import { s as Receipt, t as Fetch } from "./shared-request.js";
import { a as CallOptions, i as TokenRequest, n as IssuedToken, t as Grantee } from "./shared-token.js";
import { r as SluiceError } from "./shared-error.js";

// src/server/jsonschema.d.ts
/** The version of JSON Schema that the server uses. */
declare const TARGET = "draft-2020-12";
/** A JSON Schema; true accepts everything. */
type JSONSchema = object | boolean;
/**
* What a {@link JSONSchemaConverter} is asked for, in the terms of Zod and of Valibot: the schema of
* the input, which is what a publisher sends.
*/
interface ConverterOptions {
  readonly io: "input";
  readonly typeMode: "input";
  readonly target: typeof TARGET;
}
/** Converts a validator's schema to JSON Schema: `z.toJSONSchema` of Zod, `toJsonSchema` of `@valibot/to-json-schema`. undefined: leave the topic without one. */
type JSONSchemaConverter = (schema: any, options: ConverterOptions) => JSONSchema | undefined;
/** How much of a channel the server keeps for replay. The server's configuration supplies what is left out. */
interface ReplayLimits {
  readonly messages?: number;
  /** A number of bytes, or a size such as `64KiB` or `1MiB`. */
  readonly bytes?: number | string;
  /** `90s`, `10m`, `1h30m`. */
  readonly age?: string;
}
interface DefineOptions extends CallOptions {
  /** The template to define. Default: the channel's. */
  readonly name?: string;
  /** Refuse messages of topics that are not defined. Default: false. */
  readonly strict?: boolean;
  readonly replay?: ReplayLimits;
  /** For validators that cannot produce a JSON Schema. It is used for all topics except those of `staticSchema`. */
  readonly toJSONSchema?: JSONSchemaConverter;
}
/** A definition as the server stores it. */
interface Definition {
  readonly name: string;
  readonly topics?: Readonly<Record<string, {
    readonly schema?: JSONSchema;
    readonly merge?: MergeRule;
  } | null>>;
  readonly replay?: ReplayLimits;
  readonly strict?: boolean;
}
/** Anything that yields values one after the other. */
type Source<T> = AsyncIterable<T> | Iterable<T> | ReadableStream<T>;
/** The result of one of several messages. */
type PublishResult = Receipt | SluiceError;
/** What a message has besides its data. */
interface Attributes {
  /**
  * Makes the publish durable: of all publishes to the topic with this key, only the first takes
  * effect, and the others get its receipt. 1 to 255 printable ASCII characters.
  */
  readonly key?: string | undefined;
  /** The run that the message belongs to. */
  readonly runId?: string | undefined;
  /**
  * The span that the message follows from, as in the header of that name (W3C Trace Context). Its readers get
  * it, and the spans of a server that traces are its children.
  */
  readonly traceparent?: string | undefined;
}
interface PublishOptions extends Attributes, CallOptions {}
/** One of several messages. */
interface PublishItem<Input = unknown> extends Attributes {
  readonly ref: AnyRef<Input>;
  readonly data: NoInfer<Input>;
}
interface AskOptions<Output> extends CallOptions {
  /** The topic of the answer, which may be on another channel. */
  readonly reply: AnyRef<unknown, Output>;
  /** Reports whether a message is the answer. Default: the first message is. */
  readonly match?: ((answer: NoInfer<Output>) => boolean) | undefined;
  /** How long to wait, in milliseconds, including the publish of the question. Default: forever. */
  readonly timeout?: number | undefined;
}
interface StreamOptions extends CallOptions {
  /** The run that it belongs to. */
  readonly runId?: string | undefined;
  /** The span that it follows from, as in the header of that name (W3C Trace Context). Its readers get it. */
  readonly traceparent?: string | undefined;
}
interface TextOptions extends StreamOptions {
  /**
  * Identifies the text on its topic: 1 to 64 of `A-Z a-z 0-9 _ . : -`. Publishing under the same id with a
  * higher `attempt` replaces the text. Repeating an attempt that is complete returns its receipt, as a
  * duplicate. Default: a random one.
  */
  readonly streamId?: string | undefined;
  /**
  * The number of this attempt to publish the text, from 1. It rises each time the text has to begin
  * again. Default: 1.
  */
  readonly attempt?: number | undefined;
}
/** The answer to a streamed text. */
interface StreamReceipt {
  readonly stream_id: string;
  /** Into how many pieces the server split it. */
  readonly chunks: number;
  /** Its length in UTF-8. */
  readonly bytes: number;
  /** The id of the message that starts the stream. */
  readonly first_id: string;
  /** The id of the message that ends it. */
  readonly last_id: string;
  /** The text was complete before. */
  readonly duplicate: boolean;
}
interface RunOptions {
  /**
  * The number of this attempt at the run, from 1, under which it publishes its texts. Each attempt needs a
  * higher number. If your queue counts retries from 0, add 1. Default: for each text, one above the
  * latest attempt that the server knows.
  */
  readonly attempt?: number | undefined;
}
/**
* One run of a job that a channel reports on. The handle has no state: a program that crashed creates
* another one with the same ids and runs again, and nothing is published twice.
*/
interface RunHandle {
  readonly channel: string;
  readonly id: string;
  /** Marks the run as running. After the run has ended this is a `conflict`. */
  start(options?: CallOptions): Promise<Receipt>;
  /** Ends the run. The same end again is a duplicate, a different one a `conflict`. This holds for all three. */
  complete(result?: unknown, options?: CallOptions): Promise<Receipt>;
  /** Ends the run with an error. Subscribers see its message, or the value if it is not an Error. */
  fail(error?: unknown, options?: CallOptions): Promise<Receipt>;
  cancel(options?: CallOptions): Promise<Receipt>;
  /**
  * Publishes the message of a step once. A second call with the same run, step and topic returns the
  * first receipt, whatever its data, for as long as the server remembers it.
  *
  * @param step unique within the run
  */
  publish<Input>(step: string, ref: AnyRef<Input>, data: NoInfer<Input>, options?: CallOptions): Promise<Receipt>;
  /**
  * Publishes the text of a step once. It replaces a text that an earlier attempt has left half-written.
  * If the text is complete, it closes the source and returns the first receipt, as a duplicate. It
  * rejects with `superseded` if a later attempt takes over the text.
  *
  * @param step unique within the run
  */
  stream(step: string, ref: TextRef, source: Source<string | Uint8Array>, options?: CallOptions): Promise<StreamReceipt>;
  /**
  * Publishes a question once and waits for the first matching answer after it. A second call finds
  * the same answer, even one that arrived while the program was down.
  *
  * Messages that break the reply topic's schema are not answers. The wait ends with a
  * {@link SluiceError}: `timeout`; `run-ended` if the run has ended; `gap` if the answer may be among
  * lost messages, so the question must be asked again as another step; or the server's refusal.
  */
  ask<Input, Output>(step: string, ref: AnyRef<Input>, data: NoInfer<Input>, options: AskOptions<Output>): Promise<Output>;
}
interface ServerOptions {
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
interface SluiceServer {
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
  publishMany<const Inputs extends readonly unknown[]>(items: { readonly [I in keyof Inputs]: PublishItem<Inputs[I]> }, options?: CallOptions): Promise<{ -readonly [I in keyof Inputs]: PublishResult }>;
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
declare function createServer(options: ServerOptions): SluiceServer;
export { ReplayLimits as _, RunOptions as a, JSONSchemaConverter as b, TextOptions as c, PublishOptions as d, Attributes as f, Definition as g, DefineOptions as h, RunHandle as i, AskOptions as l, Source as m, SluiceServer as n, StreamReceipt as o, PublishResult as p, createServer as r, StreamOptions as s, ServerOptions as t, PublishItem as u, ConverterOptions as v, JSONSchema as y };