import type { DataMessage, Message, TextStream } from "./message.js";
import { textSchema, type InferInput, type InferOutput, type StandardSchema, type TextSchema } from "./schema.js";

/** The definition of a topic: the schema of the data in its messages. */
export interface TopicDefinition {
  readonly schema: StandardSchema;
  /** The same as a JSON Schema (2020-12), for validators that cannot produce one. */
  readonly jsonSchema?: object;
  /** Which messages the server holds as one. Default: none. */
  readonly merge?: MergeRule;
}

/**
 * Says that messages which follow each other on a topic, and agree in what `key` points to, are held
 * as one. Its string at `append` is theirs joined, and everything else is the first one's. A value that is
 * missing agrees with one that is missing. Readers that are up to date get each message as it was
 * published. Both are JSON Pointers (RFC 6901).
 */
export interface MergeRule {
  readonly append: string;
  readonly key?: readonly string[];
}

export type Topics = Readonly<Record<string, TopicDefinition>>;

/** One topic of one channel: where to publish, and what is valid there. */
export interface TopicRef<Topic extends string = string, Input = unknown, Output = unknown> {
  readonly channel: string;
  readonly topic: Topic;
  readonly schema: StandardSchema<Input, Output>;
}

/**
 * One topic of one channel, as the `inngest` package makes it. Its type does not say what data is valid
 * there, so only the schema does.
 */
export interface InngestRef {
  readonly channel: string;
  readonly topic: string;
  readonly config: { readonly schema: StandardSchema };
}

/** A topic of either kind. */
export type AnyRef<Input = unknown, Output = unknown> = TopicRef<string, Input, Output> | InngestRef;

/** A topic that is {@link text}. Only texts can be streamed to it, and nothing else can be published. */
export type TextRef<Topic extends string = string> = TopicRef<Topic, never, string>;

/**
 * One channel with its topics: `run42.status` is a {@link TopicRef}. Everything else starts with
 * `$`, which a topic cannot.
 */
export type Channel<T extends Topics = Topics> = {
  readonly [Topic in keyof T & string]: TopicRef<Topic, InferInput<T[Topic]["schema"]>, InferOutput<T[Topic]["schema"]>>;
} & {
  /** The channel's name. */
  readonly $name: string;
  /** The name with a placeholder for each parameter: `pipeline:{runId}`. */
  readonly $template: string;
  readonly $topics: T;
};

/** Channels whose names differ in their parameters. Call it with the parameters to get one {@link Channel}. */
export interface ChannelFamily<P extends object = never, T extends Topics = Topics> {
  (params: P): Channel<T>;
  /** The name with a placeholder for each parameter: `pipeline:{runId}`. */
  readonly $template: string;
  readonly $topics: T;
}

/** What {@link channel} returns, of either kind. */
export type AnyChannel = { readonly $template: string; readonly $topics: Topics };

/** A channel as the `inngest` package makes it. A function that makes channels is not one: call it. */
export interface InngestChannel {
  readonly name: string;
  readonly topics: Topics;
  readonly arguments?: never;
}

/** The parameters of a channel's name; `never` for a fixed name. */
export type Params<C> = C extends (params: infer P) => unknown ? P : never;

type TopicsOf<C> = C extends { readonly $topics: infer T extends Topics }
  ? T
  : C extends { readonly topics: infer T extends Topics }
    ? T
    : never;

/** The names of the topics of a channel. */
export type TopicName<C> = keyof TopicsOf<C> & string;

type MessageOf<T extends Topics, Topic extends keyof T & string> = {
  [Each in Topic]: T[Each]["schema"] extends TextSchema ? TextStream<Each> : DataMessage<Each, InferOutput<T[Each]["schema"]>>;
}[Topic];

/**
 * The messages of a channel, a family of channels or one topic, as a subscription delivers them. The
 * union is discriminated by `topic`.
 *
 * @example InferMessage<typeof pipeline>, InferMessage<typeof pipeline, "status">
 */
export type InferMessage<C, Topic extends string = string> =
  C extends TopicRef<infer Only, infer Input, infer Output>
    ? [Input] extends [never]
      ? TextStream<Only>
      : DataMessage<Only, Output>
    : [TopicsOf<C>] extends [never]
      ? Message<Topic>
      : string extends keyof TopicsOf<C>
        ? Message<Topic>
        : MessageOf<TopicsOf<C>, TopicName<C> & Topic>;

/** The data of one topic, as a subscription delivers it; of a topic that is {@link text}, `string`. */
export type InferData<R> = R extends TopicRef<string, unknown, infer Output> ? Output : never;

/**
 * Defines a topic that carries texts, which are streamed while they are written. All other topics
 * carry messages that are published as a whole. A subscription refuses what is not of its topic's kind
 * (`onInvalid`).
 *
 * @example channel({ name: "chat", topics: { answer: text() } })
 */
export function text(): { readonly schema: TextSchema } {
  return { schema: textSchema() };
}

/**
 * Defines a channel, or a family of channels if the name is a function.
 *
 * The function must insert the parameters into the name unchanged, because it also produces the
 * template under which the server knows the channels.
 *
 * The returned function throws a TypeError for a parameter that is empty or contains `:` or `*`,
 * which would name other channels, and for one that the name uses but that is null, undefined or
 * missing. A name with a segment `.` or `..` between slashes is a TypeError, too: it would be
 * another path.
 *
 * @example
 * const pipeline = channel({
 *   name: ({ runId }: { runId: string }) => `pipeline:${runId}`,
 *   topics: { status: { schema: z.object({ message: z.string() }) }, draft: text() },
 * });
 * pipeline({ runId: "42" }).status;
 */
export function channel<const T extends Topics>(definition: { name: string; topics: T }): Channel<T>;
export function channel<P extends object, const T extends Topics>(definition: {
  name: (params: P) => string;
  topics: T;
}): ChannelFamily<P, T>;
export function channel<P extends object, T extends Topics>({
  name,
  topics,
}: {
  name: string | ((params: P) => string);
  topics: T;
}): Channel<T> | ChannelFamily<P, T> {
  if (typeof name === "string") return one(name, name, topics);
  const placeholders = new Proxy({} as P, { get: (_, key) => `{${String(key)}}` });
  const $template = name(placeholders);
  const named = (params: P): Channel<T> => {
    const asked = new Set<PropertyKey>();
    const text = name(new Proxy(params, { get: (target, key) => (asked.add(key), target[key as keyof P]) }));
    for (const key of asked) {
      const value = params[key as keyof P];
      // A missing parameter becomes the word "undefined" in the name, unless it has a default or is left out.
      if (value == null && name({ ...params, [key]: String(value) }) === text) throw new TypeError(`No channel parameter ${String(key)}`);
    }
    const values = Object.values(params) as (string | null | undefined)[];
    if (values.every((value) => value == null || /^[^:*]+$/.test(value))) return one(text, $template, topics);
    throw new TypeError("Bad channel parameter");
  };
  return Object.assign(named, { $template, $topics: topics });
}

/** Any channel, whose properties can be read. A string has none of them. */
type Loose = Partial<Omit<InngestChannel, "arguments"> & AnyChannel & { readonly $name: string }>;

/** Returns the name of a channel, or the pattern of a family. */
export function nameOf(channel: string | AnyChannel | InngestChannel): string {
  const loose = channel as Loose;
  return loose.$name ?? loose.$template?.replace(/\{.*/, "*") ?? loose.name ?? (channel as string);
}

/** Returns the topics that a channel defines; undefined: only its name is known. */
export function topicsOf(channel: string | AnyChannel | InngestChannel): Topics | undefined {
  return (channel as Loose).$topics ?? (channel as Loose).topics;
}

/** Returns the schema of a topic. */
export function schemaOf<Output>(ref: AnyRef<unknown, Output>): StandardSchema<unknown, Output> {
  return ("schema" in ref ? ref.schema : ref.config.schema) as StandardSchema<unknown, Output>;
}

function one<T extends Topics>(name: string, template: string, topics: T): Channel<T> {
  if ([name, ...Object.keys(topics)].some((each) => /(^|\/)\.\.?(\/|$)/.test(each))) throw new TypeError("Bad name");
  const refs: Record<string, unknown> = { $name: name, $template: template, $topics: topics };
  for (const topic in topics) refs[topic] = { channel: name, topic, schema: topics[topic]!.schema };
  return refs as Channel<T>;
}
