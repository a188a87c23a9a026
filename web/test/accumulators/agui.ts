// AG-UI, as its client is sent it.

import { EventType, HttpAgent, type AGUIEvent } from "@ag-ui/client";
import { eventStream, type Accumulator } from "./accumulator.js";

const THREAD = { threadId: "thread_1", runId: "run_1" };
const { TEXT_MESSAGE_CONTENT, TOOL_CALL_ARGS, REASONING_MESSAGE_CONTENT } = EventType;

const text = (messageId: string, ...deltas: string[]): AGUIEvent[] =>
  deltas.map((delta) => ({ type: TEXT_MESSAGE_CONTENT, messageId, delta }));
const args = (toolCallId: string, ...deltas: string[]): AGUIEvent[] => deltas.map((delta) => ({ type: TOOL_CALL_ARGS, toolCallId, delta }));
const thought = (messageId: string, ...deltas: string[]): AGUIEvent[] =>
  deltas.map((delta) => ({ type: REASONING_MESSAGE_CONTENT, messageId, delta }));

const EVENTS: AGUIEvent[] = [
  { type: EventType.RUN_STARTED, ...THREAD },
  { type: EventType.STATE_SNAPSHOT, snapshot: { cities: [], step: "plan" } },
  { type: EventType.STEP_STARTED, stepName: "plan" },
  { type: EventType.REASONING_START, messageId: "think" },
  { type: EventType.REASONING_MESSAGE_START, messageId: "think", role: "reasoning" },
  ...thought("think", "Two cities, ", "two ", "calls."),
  { type: EventType.REASONING_MESSAGE_END, messageId: "think" },
  { type: EventType.REASONING_END, messageId: "think" },
  { type: EventType.TEXT_MESSAGE_START, messageId: "m1", role: "assistant" },
  ...text("m1", "Let", " me", " look", ' at "both":\n', "Zürich 🌧"),
  // Metadata of the parts becomes the message's, key by key.
  { type: TEXT_MESSAGE_CONTENT, messageId: "m1", delta: " and", metadata: { "site.example": { source: 1 } } },
  { type: TEXT_MESSAGE_CONTENT, messageId: "m1", delta: " Os", metadata: { "model.example": { cached: true } } },
  ...text("m1", "lo", "."),
  { type: EventType.TEXT_MESSAGE_END, messageId: "m1" },
  { type: EventType.STATE_DELTA, delta: [{ op: "add", path: "/cities/-", value: "Zürich" }] },
  { type: EventType.STATE_DELTA, delta: [{ op: "add", path: "/cities/-", value: "Oslo" }] },
  // Two calls whose arguments are streamed at the same time.
  { type: EventType.TOOL_CALL_START, toolCallId: "call_1", toolCallName: "weather", parentMessageId: "m1" },
  ...args("call_1", '{"ci', 'ty":"Zü'),
  { type: EventType.TOOL_CALL_START, toolCallId: "call_2", toolCallName: "weather", parentMessageId: "m1" },
  ...args("call_2", '{"city"'),
  ...args("call_1", 'rich"', "}"),
  ...args("call_2", ':"Os', 'lo"}'),
  { type: EventType.TOOL_CALL_END, toolCallId: "call_1" },
  { type: EventType.TOOL_CALL_END, toolCallId: "call_2" },
  { type: EventType.TOOL_CALL_RESULT, messageId: "r1", toolCallId: "call_1", content: '{"rain":true}' },
  { type: EventType.ACTIVITY_SNAPSHOT, messageId: "a1", activityType: "SEARCH", content: { found: 0 } },
  { type: EventType.ACTIVITY_DELTA, messageId: "a1", activityType: "SEARCH", patch: [{ op: "replace", path: "/found", value: 3 }] },
  // Two messages at the same time.
  { type: EventType.TEXT_MESSAGE_START, messageId: "m2", role: "assistant" },
  { type: EventType.TEXT_MESSAGE_START, messageId: "m3", role: "assistant" },
  ...text("m2", "It ", "rains ", "in "),
  ...text("m3", "Oslo ", "is "),
  ...text("m2", "Zürich."),
  ...text("m3", "un", "known", "."),
  { type: EventType.TEXT_MESSAGE_END, messageId: "m2" },
  { type: EventType.TEXT_MESSAGE_END, messageId: "m3" },
  { type: EventType.STATE_DELTA, delta: [{ op: "replace", path: "/step", value: "done" }] },
  { type: EventType.CUSTOM, name: "tokens", value: 314 },
  { type: EventType.STEP_FINISHED, stepName: "plan" },
  { type: EventType.RUN_FINISHED, ...THREAD, result: { ok: true } },
];

export const agui: Accumulator<AGUIEvent> = {
  rules: { events: { append: "/delta", key: ["/type", "/messageId", "/toolCallId", "/metadata"] } },
  topicOf: () => "events",

  parts: EVENTS.map((event, i) => ({ ...event, timestamp: 1_796_000_000_000 + i })),

  async accumulate(events) {
    const agent = new HttpAgent({ url: "https://agent.example", agentId: "agent_1", ...THREAD, fetch: async () => eventStream(events) });
    const { result } = await agent.runAgent({ runId: THREAD.runId });
    return { messages: agent.messages, state: agent.state, result };
  },
};
