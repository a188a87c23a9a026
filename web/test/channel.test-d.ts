import {
  channel,
  staticSchema,
  subscribe,
  text,
  type AnyChannel,
  type DataMessage,
  type InferData,
  type InferMessage,
  type Message,
  type Params,
  type TextRef,
  type TextStream,
  type TopicName,
  type TopicRef,
} from "../src/index.js";
import { publish } from "../src/publish.js";
import * as v from "valibot";
import { expectTypeOf, test } from "vitest";
import { z } from "zod";

const pipeline = channel({
  name: ({ runId }: { runId: string }) => `pipeline:${runId}`,
  topics: {
    status: { schema: z.object({ message: z.string(), step: z.string().optional() }) },
    length: {
      schema: v.pipe(
        v.string(),
        v.transform((text) => text.length),
      ),
    },
    tokens: { schema: staticSchema<{ token: string }>() },
    draft: text(),
  },
});
const run42 = pipeline({ runId: "42" });
const see = (value: unknown): unknown => value;
const log = channel({ name: "global:log", topics: { line: { schema: z.string() } } });

test("parameters", () => {
  expectTypeOf<Params<typeof pipeline>>().toEqualTypeOf<{ runId: string }>();
  expectTypeOf<Params<typeof log>>().toBeNever();
  // @ts-expect-error -- it is called runId
  pipeline({ id: "42" });
  // @ts-expect-error -- it is a text
  pipeline({ runId: 42 });
  // @ts-expect-error -- it is needed
  pipeline();
  // @ts-expect-error -- a fixed name takes none
  log({});
});

test("references of topics", () => {
  type Status = { message: string; step?: string | undefined };
  expectTypeOf(run42.status).toEqualTypeOf<TopicRef<"status", Status, Status>>();
  expectTypeOf(run42.length).toEqualTypeOf<TopicRef<"length", string, number>>();
  expectTypeOf(log.line).toEqualTypeOf<TopicRef<"line", string, string>>();
  expectTypeOf(run42.draft).toEqualTypeOf<TextRef<"draft">>();
  expectTypeOf(run42.draft).toExtend<TopicRef>();
  expectTypeOf(log.line).not.toExtend<TextRef>();
  expectTypeOf(run42.$name).toBeString();
  expectTypeOf(pipeline.$template).toBeString();
  expectTypeOf(run42).toExtend<AnyChannel>();
  expectTypeOf<TopicName<typeof pipeline>>().toEqualTypeOf<"status" | "length" | "tokens" | "draft">();
  // @ts-expect-error -- there is no such topic
  see(run42.state);
  // @ts-expect-error -- topics belong to a channel, not to the family
  see(pipeline.status);
});

test("messages", () => {
  type M = InferMessage<typeof pipeline>;
  expectTypeOf<M>().toEqualTypeOf<InferMessage<typeof run42>>();
  expectTypeOf<M["topic"]>().toEqualTypeOf<"status" | "length" | "tokens" | "draft">();
  const read = (message: M): void => {
    if (message.kind === "stream") {
      expectTypeOf(message).toEqualTypeOf<TextStream<"draft">>();
      expectTypeOf(message.text).toBeString();
      expectTypeOf(message.chunks).toEqualTypeOf<AsyncIterable<string>>();
      // @ts-expect-error -- a streamed text has no data
      see(message.data);
      return;
    }
    if (message.topic === "length") expectTypeOf(message.data).toEqualTypeOf<number>();
    else if (message.topic === "tokens") expectTypeOf(message.data).toEqualTypeOf<{ token: string }>();
    else expectTypeOf(message.data.message).toBeString();
    // @ts-expect-error -- what came stays as it is
    message.id = "";
  };
  see(read);
  expectTypeOf<InferMessage<typeof pipeline, "length">>().toEqualTypeOf<DataMessage<"length", number>>();
  expectTypeOf<InferMessage<typeof run42.length>>().toEqualTypeOf<DataMessage<"length", number>>();
  expectTypeOf<InferMessage<typeof log>>().toEqualTypeOf<DataMessage<"line", string>>();
  expectTypeOf<InferMessage<typeof run42.draft>>().toEqualTypeOf<TextStream<"draft">>();
  expectTypeOf<InferMessage<typeof run42, "draft">>().toEqualTypeOf<TextStream<"draft">>();
  expectTypeOf<InferMessage<AnyChannel>>().toEqualTypeOf<Message>();
  expectTypeOf<InferData<typeof run42.draft>>().toBeString();
  expectTypeOf<InferData<typeof run42.length>>().toEqualTypeOf<number>();
  expectTypeOf<InferData<typeof run42.tokens>>().toEqualTypeOf<{ token: string }>();
});

test("definitions that make no sense", () => {
  // @ts-expect-error -- a topic needs a schema
  channel({ name: "a", topics: { t: {} } });
  // @ts-expect-error -- which is a Standard Schema
  channel({ name: "a", topics: { t: { schema: { type: "object" } } } });
  // @ts-expect-error -- a name is a text
  channel({ name: 7, topics: {} });
  // @ts-expect-error -- a name is a text
  channel({ name: ({ id }: { id: string }) => [id], topics: {} });
});

test("subscribe", () => {
  const sub = subscribe({
    channel: run42,
    topics: ["status", "draft"],
    onMessage(message) {
      expectTypeOf(message).toEqualTypeOf<InferMessage<typeof run42, "status" | "draft">>();
      // @ts-expect-error -- it was not asked for
      see(message.topic === "length");
    },
    onChunk(message, chunk) {
      expectTypeOf(message).toEqualTypeOf<TextStream<"draft">>();
      expectTypeOf(chunk).toBeString();
    },
  });
  const { byTopic, last } = sub.getSnapshot();
  expectTypeOf(last).toEqualTypeOf<InferMessage<typeof run42, "status" | "draft"> | null>();
  expectTypeOf(byTopic.draft).toEqualTypeOf<TextStream<"draft"> | undefined>();
  expectTypeOf(byTopic.status?.data.message).toEqualTypeOf<string | undefined>();
  // @ts-expect-error -- it was not asked for
  see(byTopic.length);
  // @ts-expect-error -- there is no such topic
  subscribe({ channel: run42, topics: ["state"] });
  // @ts-expect-error -- a replay has a name or a number
  subscribe({ channel: run42, replay: "newest" });

  subscribe({ channel: run42, until: "end" });
  // @ts-expect-error -- it ends with the run or not at all
  subscribe({ channel: run42, until: "now" });

  const all = subscribe({ channel: run42 });
  expectTypeOf(all.getSnapshot().last).toEqualTypeOf<InferMessage<typeof run42> | null>();
  const family = subscribe({ channel: pipeline, topics: ["length"] });
  expectTypeOf(family.getSnapshot().last).toEqualTypeOf<DataMessage<"length", number> | null>();
  const several = subscribe({ channels: [run42, log] });
  expectTypeOf(several.getSnapshot().last).toEqualTypeOf<InferMessage<typeof run42> | InferMessage<typeof log> | null>();
  const named = subscribe({ channel: "any:name" });
  expectTypeOf(named.getSnapshot().last).toEqualTypeOf<Message | null>();
  subscribe({ channel: "any:name", topics: ["whatever"] });
  see(async () => {
    for await (const message of family) expectTypeOf(message).toEqualTypeOf<DataMessage<"length", number>>();
  });
});

test("publish takes what the schema takes", () => {
  void publish(run42.status, { message: "a" });
  void publish(run42.length, "text");
  // @ts-expect-error -- the schema makes a number of it, but takes a string
  void publish(run42.length, 7);
  // @ts-expect-error -- nothing is missing
  void publish(run42.status, {});
  // @ts-expect-error -- nothing is unknown
  void publish(run42.tokens, { token: "a", more: 1 });
  // @ts-expect-error -- a text is streamed
  void publish(run42.draft, "a");
  // @ts-expect-error -- a channel is no topic
  void publish(run42, { message: "a" });
});
