import { n as Fault, r as SluiceError } from "./shared-error.js";
import { c as TopicName, l as TopicRef, t as AnyChannel, x as Receipt } from "./shared-channel.js";
import { t as Fetch } from "./shared-request.js";

// src/server/caller.d.ts
/** Options that every call takes. */
interface CallOptions {
  /** Ends the call: it rejects with the signal's reason. What was sent may have happened. */
  readonly signal?: AbortSignal | undefined;
}
interface AskOptions<Output> extends CallOptions {
  /** Where the answer comes, be it on another channel. */
  readonly reply: TopicRef<string, unknown, Output>;
  /** Whether a message is the answer. Default: the first one is. */
  readonly match?: ((answer: NoInfer<Output>) => boolean) | undefined;
  /** How long to wait, in milliseconds, the publish of the question included. Default: without end. */
  readonly timeout?: number | undefined;
}
/** The version of JSON Schema that the server speaks. */
declare const TARGET = "draft-2020-12";
/** A JSON Schema; true accepts everything. */
type JSONSchema = object | boolean;
/**
* What a {@link JSONSchemaConverter} is asked for, in the words of Zod and of Valibot: the schema of
* what a publisher sends.
*/
interface ConverterOptions {
  readonly io: "input";
  readonly typeMode: "input";
  readonly target: typeof TARGET;
}
/** Writes a validator's schema as a JSON Schema: `z.toJSONSchema` of Zod, `toJsonSchema` of `@valibot/to-json-schema`. undefined: leave the topic without one. */
type JSONSchemaConverter = (schema: any, options: ConverterOptions) => JSONSchema | undefined;
/** What the server keeps of a channel for those who come later. What is left out is as the server is configured. */
interface ReplayLimits {
  readonly messages?: number;
  /** A number, or a text such as `64KiB` or `1MiB`. */
  readonly bytes?: number | string;
  /** `90s`, `10m`, `1h30m`. */
  readonly age?: string;
}
interface DefineOptions extends CallOptions {
  /** The template to define, if it is not that of the channel. */
  readonly name?: string;
  /** Refuse messages of topics that are not defined. Default: false. */
  readonly strict?: boolean;
  readonly replay?: ReplayLimits;
  /** For validators that cannot write a JSON Schema by themselves. It is used for all topics but those of `staticSchema`. */
  readonly toJSONSchema?: JSONSchemaConverter;
}
/** A definition as the server holds it. */
interface Definition {
  readonly name: string;
  readonly topics?: Readonly<Record<string, {
    readonly schema?: JSONSchema;
  } | null>>;
  readonly replay?: ReplayLimits;
  readonly strict?: boolean;
}
/** Whatever gives one value after the other. */
type Source<T> = AsyncIterable<T> | Iterable<T> | ReadableStream<T>;
/** What became of one of several messages. */
type PublishResult = Receipt | SluiceError;
/** What goes with a message beside its data. */
interface Attributes {
  /**
  * Makes the publish durable: of all publishes to the topic with this key the first one happens,
  * and the others get its receipt. 1 to 255 printable ASCII characters.
  */
  readonly key?: string | undefined;
  /** The run that the message belongs to. */
  readonly runId?: string | undefined;
}
interface PublishOptions extends Attributes, CallOptions {}
/** One of several messages. */
interface PublishItem<Input = unknown> extends Attributes {
  readonly ref: TopicRef<string, Input>;
  readonly data: NoInfer<Input>;
}
/** One channel of a definition, with its name. */
type NamedChannel = AnyChannel & {
  readonly $name: string;
};
/** A channel that a token can be for: with its topics, by name, or all below a prefix (`pipeline:*`). */
type Grantee = NamedChannel | string;
/** What a token grants. Options that are left out grant nothing. */
interface TokenRequest<C extends Grantee = Grantee> extends CallOptions {
  /** What its holder may subscribe to. */
  readonly channel?: C;
  readonly channels?: readonly C[];
  /** Default: the topics that the channel defines; all topics of one that is given by name. */
  readonly topics?: readonly (C extends string ? string : TopicName<C>)[];
  /** What its holder may publish to. */
  readonly publish?: readonly {
    readonly channel: string;
    readonly topic: string;
  }[];
  /** Whom it is for: streams can be listed, limited and ended by it. */
  readonly sub?: string;
  /** How long it is good, `90s`, `10m`, `1h30m`: from 1 s to what the server allows. Default: 10 minutes. */
  readonly ttl?: string;
}
/** A token. The server does not keep it; it can be revoked by its `jti`. */
interface IssuedToken {
  readonly token: string;
  readonly token_type: "Bearer";
  readonly jti: string;
  /** RFC 3339 in UTC. */
  readonly expires_at: string;
  /** Where to subscribe, ready for an EventSource: it has the token in it. */
  readonly subscribe_url: string;
}
/**
* One run of a job that a channel reports on. It holds no state: a program that crashed makes
* another one of the same ids and runs again, and what has happened does not happen twice.
*/
interface RunHandle {
  readonly channel: string;
  readonly id: string;
  /** Says that the run is on. Once it has ended that is a `conflict`. */
  start(options?: CallOptions): Promise<Receipt>;
  /** Ends the run. The same end again is a duplicate, another one a `conflict`; so for all three. */
  complete(result?: unknown, options?: CallOptions): Promise<Receipt>;
  /** Ends the run with an error, of which subscribers see the message, or the value if it is no Error. */
  fail(error?: unknown, options?: CallOptions): Promise<Receipt>;
  cancel(options?: CallOptions): Promise<Receipt>;
  /**
  * Publishes the message of a step, once: made again with the same run, step and topic it returns
  * the first receipt, whatever the data, for as long as the server remembers.
  *
  * @param step is the step's own within the run
  */
  publish<Input>(step: string, ref: TopicRef<string, Input>, data: NoInfer<Input>, options?: CallOptions): Promise<Receipt>;
  /**
  * Publishes a question, once, and waits for the first answer that was published after it and
  * matches. Made again it finds the same answer, also one that came while the program was down.
  *
  * Messages that break the reply topic's schema are not answers. A {@link SluiceError} ends the
  * wait: `timeout`; `run-ended` if the run has ended; `gap` if messages are lost that the answer may
  * be among, so that the question must be asked anew, as another step; or the server's refusal.
  */
  ask<Input, Output>(step: string, ref: TopicRef<string, Input>, data: NoInfer<Input>, options: AskOptions<Output>): Promise<Output>;
}
/** The answer to a text that was published while it was made. */
interface StreamReceipt {
  readonly stream_id: string;
  /** How many pieces the server made of it. */
  readonly chunks: number;
  /** How long it is in UTF-8. */
  readonly bytes: number;
  /** Of the message that begins the stream. */
  readonly first_id: string;
  /** Of the message that ends it. */
  readonly last_id: string;
}
interface StreamOptions extends CallOptions {
  /** The run that it belongs to. */
  readonly runId?: string | undefined;
  /**
  * What the source gives: the pieces of one text (`stream`), or messages (`data`). Default: what
  * the first value says, where strings and bytes are text. It is needed for messages that are
  * strings, and for messages if there may be none: without a first value it is an empty text.
  */
  readonly kind?: "stream" | "data" | undefined;
}
interface ServerOptions {
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
interface SluiceServer {
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
  publishMany<const Inputs extends readonly unknown[]>(items: { readonly [I in keyof Inputs]: PublishItem<Inputs[I]> }, options?: CallOptions): Promise<{ -readonly [I in keyof Inputs]: PublishResult }>;
  /**
  * Publishes a text while it is made, such as the answer of a language model: strings, or UTF-8
  * bytes. Subscribers read along. If the source throws they see the text as aborted, and this
  * rejects with what was thrown. The topic's schema does not hold for it, and it is not tried again.
  */
  stream(ref: TopicRef, source: Source<string | Uint8Array>, options?: StreamOptions & {
    readonly kind?: "stream";
  }): Promise<StreamReceipt>;
  /**
  * Publishes messages as they come, over one connection, and returns the results in their order;
  * of data that breaks the schema an error, and the others happen. Where answers do not come
  * before a request is complete (Bun, some proxies) it takes several requests. It is not tried
  * again: it rejects when the connection breaks off, and with what the source throws. The source
  * is closed in any case.
  */
  stream<Input>(ref: TopicRef<string, Input>, source: Source<NoInfer<Input>>, options?: StreamOptions & {
    readonly kind?: "data";
  }): Promise<PublishResult[]>;
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
declare function createServer(options: ServerOptions): SluiceServer;
export { type AskOptions, type Attributes, type CallOptions, type ConverterOptions, type DefineOptions, type Definition, type Fault, type Grantee, type IssuedToken, type JSONSchema, type JSONSchemaConverter, type NamedChannel, type PublishItem, type PublishOptions, type PublishResult, type Receipt, type ReplayLimits, type RunHandle, type ServerOptions, SluiceError, type SluiceServer, type Source, type StreamOptions, type StreamReceipt, type TokenRequest, createServer };