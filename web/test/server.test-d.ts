import { channel, staticSchema, type Receipt, type SluiceError } from "../src/index.js";
import { createServer, text, type IssuedToken, type PublishResult, type StreamReceipt } from "../src/server/index.js";
import * as v from "valibot";
import { expectTypeOf, test } from "vitest";
import { z } from "zod";

const sluice = createServer({ url: "http://localhost", apiKey: "key" });
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

test("publish takes what the schema takes", () => {
  expectTypeOf(sluice.publish(run42.status, { message: "a" })).resolves.toEqualTypeOf<Receipt>();
  void sluice.publish(run42.length, "text");
  // @ts-expect-error -- the schema makes a number of it, but takes a string
  void sluice.publish(run42.length, 7);
  // @ts-expect-error -- nothing is missing
  void sluice.publish(run42.status, {});
  // @ts-expect-error -- nothing is unknown
  void sluice.publish(run42.tokens, { token: "a", more: 1 });
  // @ts-expect-error -- the options have names
  void sluice.publish(run42.tokens, { token: "a" }, { idempotencyKey: "k" });
});

test("publishMany holds each item to its own topic", () => {
  const many = sluice.publishMany([
    { ref: run42.status, data: { message: "a" }, key: "k" },
    { ref: run42.length, data: "text", runId: "r" },
  ]);
  expectTypeOf(many).resolves.toEqualTypeOf<[PublishResult, PublishResult]>();
  expectTypeOf<PublishResult>().toEqualTypeOf<Receipt | SluiceError>();
  void sluice.publishMany([
    { ref: run42.status, data: { message: "a" } },
    // @ts-expect-error -- of another topic
    { ref: run42.length, data: { message: "a" } },
  ]);
  const made = ["a", "b"].map((token) => ({ ref: run42.tokens, data: { token } }));
  expectTypeOf(sluice.publishMany(made)).resolves.toEqualTypeOf<PublishResult[]>();
});

test("stream tells text from messages", () => {
  expectTypeOf(sluice.stream(run42.draft, ["a", new Uint8Array()])).resolves.toEqualTypeOf<StreamReceipt>();
  expectTypeOf(sluice.stream(run42.draft, "a")).resolves.toEqualTypeOf<StreamReceipt>();
  expectTypeOf(sluice.stream(run42.draft, new ReadableStream<Uint8Array>())).resolves.toEqualTypeOf<StreamReceipt>();
  expectTypeOf(sluice.stream(run42.tokens, [{ token: "a" }])).resolves.toEqualTypeOf<PublishResult[]>();
  async function* messages(): AsyncGenerator<{ token: string }> {
    yield { token: "a" };
  }
  expectTypeOf(sluice.stream(run42.tokens, messages())).resolves.toEqualTypeOf<PublishResult[]>();
  expectTypeOf(sluice.stream(run42.length, ["a"])).resolves.toEqualTypeOf<PublishResult[]>();
  // @ts-expect-error -- texts go to topics that are text()
  void sluice.stream(run42.tokens, ["a"]);
  // @ts-expect-error -- which take nothing else
  void sluice.stream(run42.draft, [{ token: "a" }]);
  // @ts-expect-error -- and are not published as a whole
  void sluice.publish(run42.draft, "a");
  // @ts-expect-error -- of another topic
  void sluice.stream(run42.tokens, [{ message: "a" }]);
});

test("token takes the topics of the channel", () => {
  expectTypeOf(sluice.token({ channel: run42, topics: ["status"], publish: [run42.tokens] })).resolves.toEqualTypeOf<IssuedToken>();
  void sluice.token({ channel: "pipeline:*", topics: ["anything"] });
  void sluice.token({ publish: [run42.tokens] });
  // @ts-expect-error -- it has no such topic
  void sluice.token({ channel: run42, topics: ["stats"] });
  // @ts-expect-error -- a family is no channel: that would be all its channels
  void sluice.token({ channel: pipeline });
});

test("ask takes a question and gives what the reply's schema makes", () => {
  const run = sluice.run(run42, "r");
  expectTypeOf(run.ask("s", run42.status, { message: "?" }, { reply: run42.length })).resolves.toEqualTypeOf<number>();
  void run.ask("s", run42.status, { message: "?" }, { reply: run42.length, match: (length) => (expectTypeOf(length).toBeNumber(), true) });
  // @ts-expect-error -- of another topic
  void run.ask("s", run42.status, { token: "?" }, { reply: run42.length });
  // @ts-expect-error -- of another topic
  void run.publish("s", run42.status, { token: "?" });
});

test("a run streams only texts", () => {
  const run = sluice.run(run42, "r", { attempt: 2 });
  expectTypeOf(run.stream("s", run42.draft, ["a", new Uint8Array()])).resolves.toEqualTypeOf<StreamReceipt>();
  void sluice.stream(run42.draft, "a", { streamId: "s", attempt: 2 });
  // @ts-expect-error -- messages have steps of their own
  void run.stream("s", run42.tokens, [{ token: "a" }]);
  // @ts-expect-error -- only texts go on
  void sluice.stream(run42.tokens, [{ token: "a" }], { streamId: "s" });
});

test("define takes the converters of the libraries", () => {
  void sluice.define(pipeline, { toJSONSchema: z.toJSONSchema, strict: true });
  void sluice.define(run42);
  // @ts-expect-error -- a converter makes a schema
  void sluice.define(pipeline, { toJSONSchema: () => "text" });
});
