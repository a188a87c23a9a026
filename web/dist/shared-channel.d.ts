/** A message whose data the publisher gave as a whole. */
interface DataMessage<Topic extends string = string, Data = unknown> {
  /** The message's position: opaque, to resume after it. */
  readonly id: string;
  readonly channel: string;
  readonly topic: Topic;
  readonly kind: "data";
  readonly data: Data;
  readonly run_id?: string;
  /** When the server took it, RFC 3339 in UTC. */
  readonly created_at: string;
}
/**
* A text that is streamed to its readers while it is made. It is handed over when it begins, and
* grows: each further piece makes a new message of the same `stream_id` with a longer text.
*/
interface TextStream<Topic extends string = string> {
  /** The position of its last piece so far. */
  readonly id: string;
  readonly channel: string;
  readonly topic: Topic;
  readonly kind: "stream";
  readonly stream_id: string;
  /** What has arrived. Of a text of more than 1 Mi characters, the end. */
  readonly text: string;
  readonly state: "open" | "complete" | "aborted";
  /** Something is missing from the text: its beginning, or what a gap took. */
  readonly partial: boolean;
  readonly run_id?: string;
  /** When the server took its last piece, RFC 3339 in UTC. */
  readonly created_at: string;
  /**
  * The text from its beginning, piece by piece, until its end; what arrives between two steps
  * comes as one. Each iteration is its own. It ends early with the subscription.
  */
  readonly chunks: AsyncIterable<string>;
}
/** What a subscription hands over. */
type Message<Topic extends string = string, Data = unknown> = DataMessage<Topic, Data> | TextStream<Topic>;
/** Says that the messages of a channel after an id are lost to the subscription for good. */
interface Gap {
  readonly channel: string;
  /** The id that was asked for. */
  readonly after: string;
  /** The id from which on nothing is missing; null: not known yet. */
  readonly resumes_at: string | null;
  /** `overrun`: the server's buffer was too short; `expired`: they were too old, or the channel was deleted; `restarted`: the server has begun anew. */
  readonly reason: "overrun" | "expired" | "restarted";
}
/** How the job stands that a channel reports on. */
interface Run {
  readonly status: "unknown" | "running" | "completed" | "failed" | "cancelled";
  readonly run_id?: string | undefined;
  readonly result?: unknown;
  readonly error?: unknown;
}
/** The message that brings a run's status. */
interface RunMessage {
  readonly id: string;
  readonly channel: string;
  readonly topic: "$run";
  readonly kind: "run";
  readonly data: Run;
  readonly run_id?: string;
  readonly created_at: string;
}
/** What the server answers to a publish. */
interface Receipt {
  readonly id: string;
  readonly channel: string;
  readonly topic: string;
  readonly kind: "data" | "run";
  readonly created_at: string;
  /** It was published under a key, which makes it happen once. */
  readonly durable: boolean;
  /** It had been published before; this is the receipt of that time. */
  readonly duplicate: boolean;
}
/**
* The interface by which validators offer themselves, https://standardschema.dev: Zod, Valibot,
* ArkType and others implement it. Only what is used here is declared.
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
/** One thing that is wrong with a value, and where. */
interface Issue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | {
    readonly key: PropertyKey;
  })[] | undefined;
}
/** What a schema accepts. */
type InferInput<S> = S extends StandardSchema<infer Input, unknown> ? Input : never;
/** What a schema makes of what it accepts. */
type InferOutput<S> = S extends StandardSchema<unknown, infer Output> ? Output : never;
/**
* A schema for a type that nothing checks at run time.
*
* @example staticSchema<{ token: string }>()
*/
declare function staticSchema<T>(): StandardSchema<T>;
/** A topic as it is defined: the schema of the data that its messages carry. */
interface TopicDefinition {
  readonly schema: StandardSchema;
  /** The same as a JSON Schema (2020-12), for a validator that cannot give one itself. */
  readonly jsonSchema?: object;
}
type Topics = Readonly<Record<string, TopicDefinition>>;
/** One topic of one channel: where to publish, and what fits there. */
interface TopicRef<Topic extends string = string, Input = unknown, Output = unknown> {
  readonly channel: string;
  readonly topic: Topic;
  readonly schema: StandardSchema<Input, Output>;
}
/**
* One channel with its topics: `run42.status` is a {@link TopicRef}. What is not a topic begins
* with `$`, which a topic cannot.
*/
type Channel<T extends Topics = Topics> = { readonly [Topic in keyof T & string]: TopicRef<Topic, InferInput<T[Topic]["schema"]>, InferOutput<T[Topic]["schema"]>> } & {
  /** The channel's name. */readonly $name: string; /** The name with a placeholder for each parameter: `pipeline:{runId}`. */
  readonly $template: string;
  readonly $topics: T;
};
/** Channels whose names differ in their parameters. Call it with these to get one {@link Channel}. */
interface ChannelFamily<P extends object = never, T extends Topics = Topics> {
  (params: P): Channel<T>;
  /** The name with a placeholder for each parameter: `pipeline:{runId}`. */
  readonly $template: string;
  readonly $topics: T;
}
/** What {@link channel} makes, of either kind. */
type AnyChannel = {
  readonly $template: string;
  readonly $topics: Topics;
};
/** The parameters of a channel's name; `never` for a fixed name. */
type Params<C> = C extends ((params: infer P) => unknown) ? P : never;
type TopicsOf<C> = C extends {
  readonly $topics: infer T extends Topics;
} ? T : never;
/** The names of the topics of a channel. */
type TopicName<C> = keyof TopicsOf<C> & string;
type MessageOf<T extends Topics, Topic extends keyof T & string> = { [Each in Topic]: Message<Each, InferOutput<T[Each]["schema"]>> }[Topic];
/**
* The messages of a channel, a family of channels or one topic, as they are handed over. The
* union can be told apart by `topic`.
*
* @example InferMessage<typeof pipeline>, InferMessage<typeof pipeline, "status">
*/
type InferMessage<C, Topic extends string = string> = C extends TopicRef<infer Only, unknown, infer Output> ? Message<Only, Output> : C extends {
  readonly $topics: infer T extends Topics;
} ? MessageOf<T, keyof T & string & Topic> : Message<Topic>;
/** The data of one topic, as it is handed over. */
type InferData<R> = R extends TopicRef<string, unknown, infer Output> ? Output : never;
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
declare function channel<const T extends Topics>(definition: {
  name: string;
  topics: T;
}): Channel<T>;
declare function channel<P extends object, const T extends Topics>(definition: {
  name: (params: P) => string;
  topics: T;
}): ChannelFamily<P, T>;
export { RunMessage as C, Run as S, staticSchema as _, InferMessage as a, Message as b, TopicName as c, channel as d, InferInput as f, StandardSchema as g, Result as h, InferData as i, TopicRef as l, Issue as m, Channel as n, Params as o, InferOutput as p, ChannelFamily as r, TopicDefinition as s, AnyChannel as t, Topics as u, DataMessage as v, TextStream as w, Receipt as x, Gap as y };