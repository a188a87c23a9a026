import type { Message } from "./message.js";
import type { InferInput, InferOutput, StandardSchema } from "./schema.js";

/** A topic as it is defined: the schema of the data that its messages carry. */
export interface TopicDefinition {
  readonly schema: StandardSchema;
  /** The same as a JSON Schema (2020-12), for a validator that cannot give one itself. */
  readonly jsonSchema?: object;
}

export type Topics = Readonly<Record<string, TopicDefinition>>;

/** One topic of one channel: where to publish, and what fits there. */
export interface TopicRef<Topic extends string = string, Input = unknown, Output = unknown> {
  readonly channel: string;
  readonly topic: Topic;
  readonly schema: StandardSchema<Input, Output>;
}

/**
 * One channel with its topics: `run42.status` is a {@link TopicRef}. What is not a topic begins
 * with `$`, which a topic cannot.
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

/** Channels whose names differ in their parameters. Call it with these to get one {@link Channel}. */
export interface ChannelFamily<P extends object = never, T extends Topics = Topics> {
  (params: P): Channel<T>;
  /** The name with a placeholder for each parameter: `pipeline:{runId}`. */
  readonly $template: string;
  readonly $topics: T;
}

/** What {@link channel} makes, of either kind. */
export type AnyChannel = { readonly $template: string; readonly $topics: Topics };

/** The parameters of a channel's name; `never` for a fixed name. */
export type Params<C> = C extends (params: infer P) => unknown ? P : never;

type TopicsOf<C> = C extends { readonly $topics: infer T extends Topics } ? T : never;

/** The names of the topics of a channel. */
export type TopicName<C> = keyof TopicsOf<C> & string;

type MessageOf<T extends Topics, Topic extends keyof T & string> = {
  [Each in Topic]: Message<Each, InferOutput<T[Each]["schema"]>>;
}[Topic];

/**
 * The messages of a channel, a family of channels or one topic, as they are handed over. The
 * union can be told apart by `topic`.
 *
 * @example InferMessage<typeof pipeline>, InferMessage<typeof pipeline, "status">
 */
export type InferMessage<C, Topic extends string = string> =
  C extends TopicRef<infer Only, unknown, infer Output>
    ? Message<Only, Output>
    : C extends { readonly $topics: infer T extends Topics }
      ? MessageOf<T, keyof T & string & Topic>
      : Message<Topic>;

/** The data of one topic, as it is handed over. */
export type InferData<R> = R extends TopicRef<string, unknown, infer Output> ? Output : never;

/**
 * Defines a channel, or with a function as its name a family of channels.
 *
 * The name must come from the parameters by putting them into a text as they are: so the same
 * function also tells the template that the server knows the channels by. A parameter that is empty
 * or has a `:` or `*` is refused with a TypeError: it would name another channel, or many.
 *
 * @example
 * const pipeline = channel({
 *   name: ({ runId }: { runId: string }) => `pipeline:${runId}`,
 *   topics: { status: { schema: z.object({ message: z.string() }) } },
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
    const values = Object.values(params) as string[];
    if (values.every((value) => /^[^:*]+$/.test(value))) return one(name(params), $template, topics);
    throw new TypeError("Bad channel parameter");
  };
  return Object.assign(named, { $template, $topics: topics });
}

function one<T extends Topics>(name: string, template: string, topics: T): Channel<T> {
  const refs: Record<string, unknown> = { $name: name, $template: template, $topics: topics };
  for (const topic in topics) refs[topic] = { channel: name, topic, schema: topics[topic]!.schema };
  return refs as Channel<T>;
}
