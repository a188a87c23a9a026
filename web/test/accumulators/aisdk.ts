// The UI message stream of the AI SDK.

import { readUIMessageStream, type UIMessage, type UIMessageChunk } from "ai";
import type { Accumulator } from "./accumulator.js";

type Metadata = { model?: string; totalTokens?: number };
type Answer = UIMessage<Metadata, { progress: { percent: number }; note: string }>;
type Part = UIMessageChunk<Metadata, { progress: { percent: number }; note: string }>;

const text = (id: string, ...deltas: string[]): Part[] => deltas.map((delta) => ({ type: "text-delta", id, delta }));
const input = (toolCallId: string, inputTextDelta: string): Part => ({ type: "tool-input-delta", toolCallId, inputTextDelta });

export const aisdk: Accumulator<Part> = {
  rules: {
    parts: { append: "/delta", key: ["/type", "/id", "/providerMetadata"] },
    inputs: { append: "/inputTextDelta", key: ["/type", "/toolCallId"] },
  },
  topicOf: ({ type }) => (type === "tool-input-delta" ? "inputs" : "parts"),

  parts: [
    { type: "start", messageId: "msg_1", messageMetadata: { model: "m-1" } },
    { type: "start-step" },
    { type: "reasoning-start", id: "0" },
    { type: "reasoning-delta", id: "0", delta: "Two cities, " },
    { type: "reasoning-delta", id: "0", delta: "two calls." },
    { type: "reasoning-delta", id: "0", delta: "" },
    // Anthropic's signature comes last, with an empty delta.
    { type: "reasoning-delta", id: "0", delta: "", providerMetadata: { anthropic: { signature: "c2lnbmVk" } } },
    { type: "reasoning-end", id: "0" },
    { type: "text-start", id: "1" },
    ...text("1", "Let", " me", " look", ' at "both":\n', "Zürich", " \ud83c", "\udf27", " and Oslo"), // a character cut in two
    { type: "text-end", id: "1" },
    { type: "data-progress", id: "p", data: { percent: 10 } },
    { type: "data-note", data: "is shown and forgotten", transient: true },
    // Two calls whose inputs are streamed at the same time.
    { type: "tool-input-start", toolCallId: "call_1", toolName: "weather" },
    input("call_1", '{"ci'),
    input("call_1", 'ty":"Zü'),
    { type: "tool-input-start", toolCallId: "call_2", toolName: "weather" },
    input("call_2", '{"city"'),
    input("call_1", 'rich"'),
    input("call_1", "}"),
    { type: "data-progress", id: "p", data: { percent: 50 } },
    input("call_2", ':"Os'),
    input("call_2", 'lo"}'),
    { type: "tool-input-available", toolCallId: "call_1", toolName: "weather", input: { city: "Zürich" } },
    { type: "tool-input-available", toolCallId: "call_2", toolName: "weather", input: { city: "Oslo" } },
    { type: "tool-output-available", toolCallId: "call_1", output: { rain: true } },
    { type: "tool-output-error", toolCallId: "call_2", errorText: "no such station" },
    { type: "source-url", sourceId: "s", url: "https://weather.example/zuerich", title: "Zürich" },
    { type: "finish-step" },
    { type: "start-step" },
    // Two texts at the same time, of which one has metadata in its parts.
    { type: "text-start", id: "2" },
    { type: "text-start", id: "3" },
    ...text("2", "It ", "rains ", "in "),
    ...text("3", "Oslo ", "is "),
    ...text("2", "Zürich."),
    { type: "text-delta", id: "3", delta: "un", providerMetadata: { google: { thoughtSignature: "a" } } },
    { type: "text-delta", id: "3", delta: "known", providerMetadata: { google: { thoughtSignature: "b" } } },
    ...text("3", ".", "\n"),
    { type: "text-end", id: "2" },
    { type: "text-end", id: "3" },
    { type: "finish-step" },
    { type: "finish", messageMetadata: { totalTokens: 314 } },
  ],

  async accumulate(parts) {
    const stream = new ReadableStream<Part>({
      start(controller) {
        for (const part of parts) controller.enqueue(structuredClone(part)); // it keeps and changes what it is given
        controller.close();
      },
    });
    let answer: Answer | undefined;
    for await (answer of readUIMessageStream<Answer>({ stream, terminateOnError: true }));
    return answer;
  },
};
