import { i as DataMessage, o as Message, u as TextStream } from "./shared-request.js";

// src/schema.d.ts
/**
* The common interface of validators, https://standardschema.dev, which Zod, Valibot, ArkType and
* others implement. Only what is used here is declared.
*/
interface StandardSchema<Input = unknown, Output = Input> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => Result<Output> | Promise<Result<Output>>;
    readonly types?: {
      readonly input: Input;
      readonly output: Output;
    } | undefined;
  };
}
type Result<Output> = {
  readonly value: Output;
  readonly issues?: undefined;
} | {
  readonly issues: readonly Issue[];
};
/** One fault in a value, and its location. */
interface Issue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | {
    readonly key: PropertyKey;
  })[] | undefined;
}
/** What a schema accepts. */
type InferInput<S> = S extends StandardSchema<infer Input, unknown> ? Input : never;
/** What a schema turns its input into. */
type InferOutput<S> = S extends StandardSchema<unknown, infer Output> ? Output : never;
/**
* Returns a schema for a type that is not checked at run time.
*
* @example staticSchema<{ token: string }>()
*/
declare function staticSchema<T>(): StandardSchema<T>;
/** The schema of a topic that carries texts. A message that was published as a whole breaks it. */
interface TextSchema extends StandardSchema<never, string> {
  readonly "~standard": StandardSchema<never, string>["~standard"] & {
    readonly text: true;
  };
}
/** The definition of a topic: the schema of the data in its messages. */
interface TopicDefinition {
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
interface MergeRule {
  readonly append: string;
  readonly key?: readonly string[];
}
type Topics = Readonly<Record<string, TopicDefinition>>;
/** One topic of one channel: where to publish, and what is valid there. */
interface TopicRef<Topic extends string = string, Input = unknown, Output = unknown> {
  readonly channel: string;
  readonly topic: Topic;
  readonly schema: StandardSchema<Input, Output>;
}
/**
* One topic of one channel, as the `inngest` package makes it. Its type does not say what data is valid
* there, so only the schema does.
*/
interface InngestRef {
  readonly channel: string;
  readonly topic: string;
  readonly config: {
    readonly schema: StandardSchema;
  };
}
/** A topic of either kind. */
type AnyRef<Input = unknown, Output = unknown> = TopicRef<string, Input, Output> | InngestRef;
/** A topic that is {@link text}. Only texts can be streamed to it, and nothing else can be published. */
type TextRef<Topic extends string = string> = TopicRef<Topic, never, string>;
/**
* One channel with its topics: `run42.status` is a {@link TopicRef}. Everything else starts with
* `$`, which a topic cannot.
*/
type Channel<T extends Topics = Topics> = { readonly [Topic in keyof T & string]: TopicRef<Topic, InferInput<T[Topic]["schema"]>, InferOutput<T[Topic]["schema"]>> } & {
  /** The channel's name. */readonly $name: string; /** The name with a placeholder for each parameter: `pipeline:{runId}`. */
  readonly $template: string;
  readonly $topics: T;
};
/** Channels whose names differ in their parameters. Call it with the parameters to get one {@link Channel}. */
interface ChannelFamily<P extends object = never, T extends Topics = Topics> {
  (params: P): Channel<T>;
  /** The name with a placeholder for each parameter: `pipeline:{runId}`. */
  readonly $template: string;
  readonly $topics: T;
}
/** What {@link channel} returns, of either kind. */
type AnyChannel = {
  readonly $template: string;
  readonly $topics: Topics;
};
/** A channel as the `inngest` package makes it. A function that makes channels is not one: call it. */
interface InngestChannel {
  readonly name: string;
  readonly topics: Topics;
  readonly arguments?: never;
}
/** The parameters of a channel's name; `never` for a fixed name. */
type Params<C> = C extends ((params: infer P) => unknown) ? P : never;
type TopicsOf<C> = C extends {
  readonly $topics: infer T extends Topics;
} ? T : C extends {
  readonly topics: infer T extends Topics;
} ? T : never;
/** The names of the topics of a channel. */
type TopicName<C> = keyof TopicsOf<C> & string;
type MessageOf<T extends Topics, Topic extends keyof T & string> = { [Each in Topic]: T[Each]["schema"] extends TextSchema ? TextStream<Each> : DataMessage<Each, InferOutput<T[Each]["schema"]>> }[Topic];
/**
* The messages of a channel, a family of channels or one topic, as a subscription delivers them. The
* union is discriminated by `topic`.
*
* @example InferMessage<typeof pipeline>, InferMessage<typeof pipeline, "status">
*/
type InferMessage<C, Topic extends string = string> = C extends TopicRef<infer Only, infer Input, infer Output> ? [Input] extends [never] ? TextStream<Only> : DataMessage<Only, Output> : [TopicsOf<C>] extends [never] ? Message<Topic> : string extends keyof TopicsOf<C> ? Message<Topic> : MessageOf<TopicsOf<C>, TopicName<C> & Topic>;
/** The data of one topic, as a subscription delivers it; of a topic that is {@link text}, `string`. */
type InferData<R> = R extends TopicRef<string, unknown, infer Output> ? Output : never;
/**
* Defines a topic that carries texts, which are streamed while they are written. All other topics
* carry messages that are published as a whole. A subscription refuses what is not of its topic's kind
* (`onInvalid`).
*
* @example channel({ name: "chat", topics: { answer: text() } })
*/
declare function text(): {
  readonly schema: TextSchema;
};
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
declare function channel<const T extends Topics>(definition: {
  name: string;
  topics: T;
}): Channel<T>;
declare function channel<P extends object, const T extends Topics>(definition: {
  name: (params: P) => string;
  topics: T;
}): ChannelFamily<P, T>;
export { TextSchema as C, StandardSchema as S, text as _, InferData as a, Issue as b, InngestRef as c, TextRef as d, TopicDefinition as f, channel as g, Topics as h, ChannelFamily as i, MergeRule as l, TopicRef as m, AnyRef as n, InferMessage as o, TopicName as p, Channel as r, InngestChannel as s, AnyChannel as t, Params as u, InferInput as v, staticSchema as w, Result as x, InferOutput as y };