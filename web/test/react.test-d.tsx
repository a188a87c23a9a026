import { describe, expectTypeOf, it } from "vitest";
import { z } from "zod";
import { channel, staticSchema, text, type DataMessage, type Message, type SluiceError, type TextStream } from "../src/index.js";
import { useChannelState, useRealtime } from "../src/react/index.js";

const pipeline = channel({
  name: ({ runId }: { runId: string }) => `pipeline:${runId}`,
  topics: {
    status: { schema: z.object({ step: z.string(), at: z.coerce.number() }) },
    tokens: text(),
  },
});
const log = channel({ name: "log", topics: { line: { schema: staticSchema<{ text: string }>() } } });
const run42 = pipeline({ runId: "42" });

type Status = DataMessage<"status", { step: string; at: number }>;
type Tokens = TextStream<"tokens">;
type Line = DataMessage<"line", { text: string }>;

describe("useRealtime", () => {
  it("types messages by topic, and together as the union", () => {
    const { messages } = useRealtime({ channel: run42 });
    expectTypeOf(messages.byTopic.status).toEqualTypeOf<Status | undefined>();
    expectTypeOf(messages.byTopic.tokens).toEqualTypeOf<Tokens | undefined>();
    expectTypeOf(messages.all).toEqualTypeOf<readonly (Status | Tokens)[]>();
    expectTypeOf(messages.delta).toEqualTypeOf<readonly (Status | Tokens)[]>();
    expectTypeOf(messages.last).toEqualTypeOf<Status | Tokens | null>();
    expectTypeOf(messages.byTopic).not.toHaveProperty("line");
    // Each topic is of one kind, so nothing has to be told apart.
    expectTypeOf(messages.byTopic.status?.data.step).toEqualTypeOf<string | undefined>();
    expectTypeOf(messages.byTopic.tokens?.text).toEqualTypeOf<string | undefined>();
    expectTypeOf(messages.byTopic.tokens?.complete).toEqualTypeOf<boolean | undefined>();
    // @ts-expect-error -- a text has no data
    expectTypeOf(messages.byTopic.tokens?.data).toBeAny();
    // @ts-expect-error -- not a text
    expectTypeOf(messages.byTopic.status?.text).toBeAny();
  });

  it("types the rest", () => {
    const hook = useRealtime({ channel: run42 });
    expectTypeOf(hook.connectionStatus).toEqualTypeOf<"idle" | "connecting" | "open" | "paused" | "closed" | "error">();
    expectTypeOf(hook.runStatus).toEqualTypeOf<"unknown" | "running" | "completed" | "failed" | "cancelled">();
    expectTypeOf(hook.pauseReason).toEqualTypeOf<"hidden" | "disabled" | null>();
    expectTypeOf(hook.error).toEqualTypeOf<SluiceError | null>();
    expectTypeOf(hook.result).toBeUnknown();
    expectTypeOf(hook.reset).toEqualTypeOf<() => void>();
  });

  it("narrows by topics", () => {
    const { messages } = useRealtime({ channel: run42, topics: ["status"] });
    expectTypeOf(messages.all).toEqualTypeOf<readonly Status[]>();
    expectTypeOf(messages.byTopic).not.toHaveProperty("tokens");
    // @ts-expect-error -- no such topic
    useRealtime({ channel: run42, topics: ["nonsense"] });
    const topics = ["status", "tokens"] as const;
    expectTypeOf(useRealtime({ channel: run42, topics }).messages.all).toEqualTypeOf<readonly (Status | Tokens)[]>();
  });

  it("joins the topics of several channels, and takes families", () => {
    const { messages } = useRealtime({ channels: [run42, log] });
    expectTypeOf(messages.all).toEqualTypeOf<readonly (Status | Tokens | Line)[]>();
    expectTypeOf(useRealtime({ channels: [run42, log], topics: ["line", "status"] }).messages.all).toEqualTypeOf<
      readonly (Status | Line)[]
    >();
    expectTypeOf(useRealtime({ channel: pipeline }).messages.last).toEqualTypeOf<Status | Tokens | null>();
    // @ts-expect-error -- of neither
    useRealtime({ channels: [run42, log], topics: ["nonsense"] });
  });

  it("knows nothing of a channel by name, or of none", () => {
    expectTypeOf(useRealtime({ channel: "pipeline:42" }).messages.all).toEqualTypeOf<readonly Message[]>();
    expectTypeOf(useRealtime({}).messages.byTopic["any"]).toEqualTypeOf<Message | undefined>();
  });

  it("types the handlers", () => {
    useRealtime({
      channel: run42,
      topics: ["status"],
      onMessage: (message) => expectTypeOf(message).toEqualTypeOf<Status>(),
      onChunk: (message) => expectTypeOf(message).toBeNever(),
    });
    useRealtime({ channel: run42, onChunk: (message) => expectTypeOf(message).toEqualTypeOf<Tokens>() });
  });

  it("takes options that may be undefined, and no others", () => {
    useRealtime({ channel: run42, token: undefined, enabled: undefined, historyLimit: null, bufferInterval: undefined, replay: 5 });
    // @ts-expect-error -- a hook has autoCloseOnTerminal for that
    useRealtime({ channel: run42, until: "end" });
    // @ts-expect-error -- one cannot abort what follows the component
    useRealtime({ channel: run42, signal: new AbortController().signal });
    // @ts-expect-error -- misspelt
    useRealtime({ channel: run42, historyLimits: 5 });
    // @ts-expect-error -- not a replay
    useRealtime({ channel: run42, replay: "some" });
  });

  it("publishes what fits", () => {
    const { publish } = useRealtime({ channel: run42 });
    void publish(log.line, { text: "x" }, { idempotencyKey: "k" });
    // @ts-expect-error -- a text is streamed
    void publish(run42.tokens, "x");
    // @ts-expect-error -- text is missing
    void publish(log.line, {});
    // @ts-expect-error -- not a text
    void publish(log.line, { text: 1 });
    // @ts-expect-error -- it may be something else
    void publish(log.line, {} as { text: string } | number);
    // @ts-expect-error -- no such topic
    void publish(run42.nonsense, {});
    // @ts-expect-error -- the token is the hook's
    void publish(log.line, { text: "x" }, { token: "t" });
  });
});

describe("useChannelState", () => {
  it("is the data of the topic", () => {
    expectTypeOf(useChannelState(run42.status)).toEqualTypeOf<{ step: string; at: number } | undefined>();
    expectTypeOf(useChannelState(run42.tokens, { enabled: false, replay: "none" })).toEqualTypeOf<string | undefined>();
    // @ts-expect-error -- a channel is not a topic
    useChannelState(run42);
    // @ts-expect-error -- the ref says it
    useChannelState(run42.status, { topics: ["status"] });
  });
});
