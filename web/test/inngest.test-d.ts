import { Inngest, realtime, staticSchema, type Realtime } from "inngest";
import { expectTypeOf, test } from "vitest";
import { z } from "zod";
import { subscribe, type DataMessage, type InferMessage, type TopicName } from "../src/index.js";
import { useRealtime as useInngest } from "inngest/react";
import { useRealtime, type UseRealtimeResult } from "../src/inngest/react/index.js";
import { sluiceRealtime } from "../src/inngest/index.js";
import { createServer, type PublishResult } from "../src/server/index.js";

const pipeline = realtime.channel({
  name: ({ runId }: { runId: string }) => `pipeline:${runId}`,
  topics: {
    status: { schema: z.object({ message: z.string() }) },
    length: { schema: z.string().transform((text) => text.length) },
    tokens: { schema: staticSchema<{ token: string }>() },
  },
});
const run42 = pipeline({ runId: "42" });
const see = (value: unknown): unknown => value;
const log = realtime.channel({ name: "log", topics: { line: { schema: z.string() } } });

test("functions are given a publish that knows its topics", () => {
  const { fetch, middleware } = sluiceRealtime({
    url: "http://localhost",
    apiKey: "key",
    runChannel: ({ event }) => `pipeline:${event.data.runId}`,
  });
  const inngest = new Inngest({ id: "app", fetch, middleware: [middleware] });
  inngest.createFunction({ id: "fn", triggers: [{ event: "job" }] }, async ({ event, publish, step }) => {
    expectTypeOf(event.data.runId).toBeAny();
    await publish(run42.status, { message: "a" });
    await step.realtime.publish("done", run42.tokens, { token: "a" });
    // @ts-expect-error -- a message is a string
    await publish(run42.status, { message: 1 });
    // @ts-expect-error -- it is missing
    await publish(run42.tokens, {});
    expectTypeOf(await step.run("one", () => ({ at: new Date() }))).toEqualTypeOf<{ at: string }>();
  });
});

test("Inngest's channels are subscribed to as Sluice's own", () => {
  type Status = DataMessage<"status", { message: string }>;
  expectTypeOf<TopicName<typeof run42>>().toEqualTypeOf<"status" | "length" | "tokens">();
  expectTypeOf<InferMessage<typeof run42, "status">>().toEqualTypeOf<Status>();
  expectTypeOf<InferMessage<typeof run42, "length">["data"]>().toBeNumber();
  const sub = subscribe({ channel: run42, topics: ["status"], onMessage: (message) => expectTypeOf(message).toEqualTypeOf<Status>() });
  expectTypeOf(sub.getSnapshot().byTopic.status).toEqualTypeOf<Status | undefined>();
  subscribe({
    channels: [run42, log],
    onMessage: ({ topic }) => expectTypeOf(topic).toEqualTypeOf<"status" | "length" | "tokens" | "line">(),
  });
  // @ts-expect-error -- there is no such topic
  subscribe({ channel: run42, topics: ["state"] });
  // @ts-expect-error -- it makes channels, but is none
  subscribe({ channel: pipeline });
});

test("a server takes Inngest's channels and topics, whose types do not tell what they carry", () => {
  const sluice = createServer({ url: "http://localhost", apiKey: "key" });
  void sluice.publish(run42.status, { message: "a" });
  void sluice.token({ channel: run42, topics: ["status"] });
  void sluice.define(log);
  void sluice.run(run42, "42").publish("done", run42.status, { message: "a" });
  expectTypeOf(sluice.stream(run42.tokens, [])).resolves.toEqualTypeOf<PublishResult[]>();
  // @ts-expect-error -- there is no such topic
  void sluice.token({ channel: run42, topics: ["state"] });
});

test("the hook has the types of Inngest's, and tells the messages of topics apart", () => {
  const { messages } = {} as UseRealtimeResult<typeof run42, readonly ["status", "length"]>;
  expectTypeOf(messages.byTopic.status!.data).toEqualTypeOf<{ message: string }>();
  expectTypeOf(messages.byTopic.length!.data).toBeNumber(); // what the schema makes of it, which is what arrives
  expectTypeOf(messages.last!.createdAt).toEqualTypeOf<Date>();
  expectTypeOf(messages.last!.runId).toEqualTypeOf<string | undefined>();
  for (const message of messages.all) {
    if (message.kind === "run" || message.kind === "chunk") continue; // they compile
    if (message.kind !== "data") continue;
    if (message.topic === "status") expectTypeOf(message.data.message).toBeString();
  }
  // @ts-expect-error -- it was not asked for
  see(messages.byTopic.tokens);
  const untyped = {} as UseRealtimeResult;
  expectTypeOf(untyped.messages.byTopic.anything!.data).toBeAny();
  const render = (list: readonly Realtime.Message[], last: Realtime.Message | null): unknown => [list, last];
  render(messages.all, messages.last);
});

test("the hook takes what Inngest's takes", () => {
  const token = async (): Promise<{ key: string; apiBaseUrl?: string }> => ({ key: "k" });
  const options = {
    channel: run42,
    topics: ["status", "tokens"],
    token,
    apiBaseUrl: "http://localhost",
    historyLimit: null,
    key: "k",
  } as const;
  expectTypeOf<Parameters<typeof useInngest<typeof run42, readonly ["status", "tokens"]>>[0]>().toExtend<
    Parameters<typeof useRealtime<typeof run42, readonly ["status", "tokens"]>>[0]
  >();

  const use = (): UseRealtimeResult<typeof run42, readonly ["status", "tokens"]> => useRealtime(options);
  see(use);
});
