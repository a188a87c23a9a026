import type { AnyChannel, InferMessage, InngestChannel } from "../../channel.js";
import type { DataMessage, Message, TextStream } from "../../message.js";
import type { Messages } from "../../react/state.js";

/** A channel of the `inngest` package, one of Sluice's own, or the name of one. */
export type ChannelInput = string | InngestChannel | AnyChannel;

/** What every message has under the names of Inngest's SDK. */
interface Named {
  readonly createdAt: Date;
  readonly runId?: string;
  /** Sluice does not know it. */
  readonly fnId?: string;
  /** Sluice does not know it. */
  readonly envId?: string;
}

/** A message as Inngest's SDK delivers it. A text is one message, whose `data` is what there is of it. */
type Renamed<M extends Message> = M extends DataMessage ? M & Named : M extends TextStream ? M & Named & { readonly data: string } : never;

/** Kinds of messages that Inngest's SDK has, so that code which tells them apart compiles. They do not come. */
interface Absent {
  readonly kind: "run" | "datastream-start" | "datastream-end" | "chunk";
  readonly channel: never;
  readonly topic: never;
  readonly data: never;
  readonly createdAt: never;
  readonly runId?: never;
  readonly fnId?: never;
  readonly envId?: never;
  readonly streamId: string;
  readonly stream: ReadableStream<never>;
}

/** A message of a channel that is known by its name alone. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- as in Inngest's SDK: nobody has said what the data is
type Untyped = DataMessage<string, any> & Named;

/** The messages of some topics of a channel. Without topics, it is not known which ones the token grants. */
export type MessageOf<C, T extends readonly string[] | undefined> = Absent | Typed<C, T>;

type Typed<C, T> = C extends string ? Untyped : T extends readonly (infer Topic extends string)[] ? Of<C, Topic> : Untyped;

/** The messages of a topic; untyped, if the channel does not define it. */
type Of<C, Topic extends string> = [InferMessage<C, Topic>] extends [never] ? Untyped : Renamed<InferMessage<C, Topic>>;

/** The latest message of each topic. */
export type ByTopic<C, T extends readonly string[] | undefined> = T extends readonly (infer Topic extends string)[]
  ? { [Each in Topic]?: Typed<C, readonly [Each]> }
  : Record<string, Untyped | undefined>;

/** Gives messages and lists of them the names of Inngest's SDK. The same one becomes the same one each time. */
export interface Renaming {
  message(message: Message): object;
  list(messages: readonly Message[]): object[];
  byTopic(messages: Messages["byTopic"]): object;
}

export function createRenaming(): Renaming {
  const made = new WeakMap<object, object>();
  function once<S extends object, R extends object>(source: S, make: (source: S) => R): R {
    if (!made.has(source)) made.set(source, make(source));
    return made.get(source) as R;
  }
  const message = (source: Message): object =>
    once(source, (each) => ({
      ...each,
      data: each.kind === "stream" ? each.text : each.data,
      runId: each.run_id,
      createdAt: new Date(each.created_at),
    }));
  return {
    message,
    list: (messages) => once(messages, (each) => each.map(message)),
    byTopic: (messages) =>
      once(messages, (each) => Object.fromEntries(Object.entries(each).map(([topic, last]) => [topic, last && message(last)]))),
  };
}
