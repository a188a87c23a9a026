// The events of OpenAI's Responses API.

import OpenAI from "openai";
import type { Response as ModelResponse, ResponseOutputItem, ResponseStreamEvent } from "openai/resources/responses/responses";
import { eventStream, type Accumulator } from "./accumulator.js";

// Every event has a number of its own, which is added below.
type Unnumbered<E> = E extends unknown ? Omit<E, "sequence_number"> : never;
type Event = Unnumbered<ResponseStreamEvent>;

const RESPONSE: ModelResponse = {
  id: "resp_1",
  object: "response",
  created_at: 1_796_000_000,
  status: "in_progress",
  model: "m-1",
  output: [],
  output_text: "",
  error: null,
  incomplete_details: null,
  instructions: null,
  metadata: null,
  parallel_tool_calls: true,
  temperature: 1,
  top_p: 1,
  tool_choice: "auto",
  tools: [],
};

const THOUGHT = { item_id: "rs_1", output_index: 0, summary_index: 0 };
const REFUSAL = { item_id: "msg_2", output_index: 4, content_index: 0 };
const at = (content_index: number) => ({ item_id: "msg_1", output_index: 1, content_index });

const thought = (...deltas: string[]): Event[] =>
  deltas.map((delta) => ({ type: "response.reasoning_summary_text.delta", ...THOUGHT, delta }));
const text = (content_index: number, ...deltas: string[]): Event[] =>
  deltas.map((delta) => ({
    type: "response.output_text.delta",
    ...at(content_index),
    delta,
    logprobs: [{ token: delta, logprob: -delta.length / 8 }],
    obfuscation: "xxxxxxxxxxxxxxxx".slice(delta.length),
  }));
const args = (output_index: number, ...deltas: string[]): Event[] =>
  deltas.map((delta) => ({ type: "response.function_call_arguments.delta", item_id: `fc_${output_index}`, output_index, delta }));
const refusal = (...deltas: string[]): Event[] => deltas.map((delta) => ({ type: "response.refusal.delta", ...REFUSAL, delta }));

const call = (n: number, status: "in_progress" | "completed", args: string): ResponseOutputItem => ({
  type: "function_call",
  id: `fc_${n}`,
  call_id: `call_${n}`,
  name: "weather",
  arguments: args,
  status,
});
const begun = (output_index: number, item: ResponseOutputItem): Event => ({ type: "response.output_item.added", output_index, item });
const done = (output_index: number, item: ResponseOutputItem): Event => ({ type: "response.output_item.done", output_index, item });
const output = (text: string) => ({ type: "output_text" as const, text, annotations: [], logprobs: [] });

const FIRST = 'Let me look at "both":\nZürich 🌧';
const SECOND = "and Oslo.";
const EVENTS: Event[] = [
  { type: "response.created", response: RESPONSE },
  { type: "response.in_progress", response: RESPONSE },
  begun(0, { type: "reasoning", id: "rs_1", summary: [] }),
  { type: "response.reasoning_summary_part.added", ...THOUGHT, part: { type: "summary_text", text: "" } },
  ...thought("Two cities, ", "two ", "calls."),
  { type: "response.reasoning_summary_text.done", ...THOUGHT, text: "Two cities, two calls." },
  begun(1, { type: "message", id: "msg_1", role: "assistant", status: "in_progress", content: [] }),
  { type: "response.content_part.added", ...at(0), part: output("") },
  ...text(0, "Let", " me", " look", ' at "both":\n', "Zürich", " 🌧"),
  { type: "response.output_text.done", ...at(0), text: FIRST, logprobs: [] },
  { type: "response.content_part.done", ...at(0), part: output(FIRST) },
  { type: "response.content_part.added", ...at(1), part: output("") },
  ...text(1, "and ", "Oslo", "."),
  {
    type: "response.output_text.annotation.added",
    ...at(1),
    annotation_index: 0,
    annotation: { type: "url_citation", url: "https://weather.example/oslo", title: "Oslo", start_index: 4, end_index: 8 },
  },
  { type: "response.output_text.done", ...at(1), text: SECOND, logprobs: [] },
  // Two calls whose arguments are streamed at the same time.
  begun(2, call(2, "in_progress", "")),
  ...args(2, '{"ci', 'ty":"Zü'),
  begun(3, call(3, "in_progress", "")),
  ...args(3, '{"city"'),
  ...args(2, 'rich"', "}"),
  ...args(3, ':"Os', 'lo"}'),
  { type: "response.function_call_arguments.done", item_id: "fc_2", output_index: 2, name: "weather", arguments: '{"city":"Zürich"}' },
  done(2, call(2, "completed", '{"city":"Zürich"}')),
  begun(4, { type: "message", id: "msg_2", role: "assistant", status: "in_progress", content: [] }),
  { type: "response.content_part.added", ...REFUSAL, part: { type: "refusal", refusal: "" } },
  ...refusal("I can", "not ", "tell."),
  { type: "response.refusal.done", ...REFUSAL, refusal: "I cannot tell." },
  { type: "response.completed", response: { ...RESPONSE, status: "completed", output_text: FIRST + SECOND } },
];

export const openai: Accumulator<ResponseStreamEvent> = {
  rules: { events: { append: "/delta", key: ["/type", "/item_id"] } },
  topicOf: () => "events",

  parts: EVENTS.map((event, sequence_number) => ({ ...event, sequence_number })),

  async accumulate(events) {
    const client = new OpenAI({ apiKey: "none", baseURL: "https://model.example", fetch: async () => eventStream(events) });
    const stream = client.responses.stream({ model: "m-1", input: "How is the weather?" });
    // The last event has the whole answer once more, so what the library has put together by itself counts, too.
    const grown: Record<string, string> = {};
    stream.on("response.output_text.delta", (event) => void (grown[`${event.item_id}/${event.content_index}`] = event.snapshot));
    stream.on("response.function_call_arguments.delta", ({ item_id, snapshot }) => void (grown[item_id] = snapshot));
    return { response: await stream.finalResponse(), grown };
  },
};
