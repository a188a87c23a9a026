// What a scripted model says, as providers of the AI SDK stream it.

const WORDS =
  'the orders of last week are in and most went to "Zürich", where it rains 🙂 naïve \\ {} as ever.\nSo'.split(/(?<= )/);

/**
 * Returns what a model streams in each of its steps: reasoning, the pieces of a tool's input and text. The last step calls no tool.
 *
 * @param {number} parts how many there are of all, about
 * @param {number} steps
 */
export function stepsOf(parts, steps) {
  let state = 1;
  const word = () => WORDS[(state = (state * 48271) % 0x7fffffff) % WORDS.length];
  const pieces = Math.ceil(parts / steps / 3);
  const words = () => Array.from({ length: pieces }, word);
  const deltas = (type, id, values) => values.map((delta) => ({ type: `${type}-delta`, id, delta }));

  return Array.from({ length: steps }, (_, step) => {
    const [reason, text, call] = [`r${step}`, `t${step}`, `c${step}`];
    const last = step === steps - 1;
    const input = [...JSON.stringify({ city: word(), note: words().join("") })];
    const size = Math.ceil(input.length / pieces);
    const strings = Array.from({ length: Math.ceil(input.length / size) }, (_, i) => input.slice(i * size, (i + 1) * size).join(""));
    const tool = [
      { type: "tool-input-start", id: call, toolName: "weather" },
      ...deltas("tool-input", call, strings),
      { type: "tool-input-end", id: call },
      { type: "tool-call", toolCallId: call, toolName: "weather", input: input.join("") },
    ];
    return [
      { type: "stream-start", warnings: [] },
      { type: "reasoning-start", id: reason },
      ...deltas("reasoning", reason, words()),
      { type: "reasoning-end", id: reason, providerMetadata: { scripted: { signature: `s${step}` } } },
      { type: "text-start", id: text },
      ...deltas("text", text, words()),
      { type: "text-end", id: text },
      ...(last ? [] : tool),
      {
        type: "finish",
        finishReason: { unified: last ? "stop" : "tool-calls", raw: "stop" },
        usage: { inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 }, outputTokens: { total: 1, text: 1, reasoning: 0 } },
      },
    ];
  });
}

/** Joins the pieces of strings in a UI message stream, so that a message is soon made of it. */
export function joined(parts) {
  const result = [];
  for (const part of parts) {
    const last = result.at(-1);
    const field = part.type === "tool-input-delta" ? "inputTextDelta" : "delta";
    const same = last?.type === part.type && last.id === part.id && last.toolCallId === part.toolCallId;
    if (same && field in part && !part.providerMetadata) last[field] += part[field];
    else result.push(structuredClone(part));
  }
  return result;
}
