// A model's answer, part by part, as a UI message stream of the AI SDK has it.

/**
 * Returns the parts of an answer: steps of reasoning, calls of tools and text. The same seed gives the same.
 *
 * @param {number} count how many parts
 * @param {string} messageId
 */
export function script(count, messageId, seed = 1) {
  let state = seed;
  const below = (n) => (state = (state * 48271) % 0x7fffffff) % n;
  const words = 'the orders of last week are in and most went to "Zürich", where it rains 🙂 naïve \\ {} as ever.\nSo'.split(/(?<= )/);
  const word = () => words[below(words.length)];
  const parts = [{ type: "start", messageId, messageMetadata: { model: "scripted" } }];
  for (let step = 0; parts.length < count; step++) {
    const call = `call_${step}`;
    const input = { city: `${word()}${step}`, note: Array.from({ length: 60 }, word).join("") };
    const json = [...JSON.stringify(input)];
    parts.push({ type: "start-step" }, { type: "reasoning-start", id: `r${step}` });
    for (let i = 0; i < 200; i++) parts.push({ type: "reasoning-delta", id: `r${step}`, delta: word() });
    parts.push(
      { type: "reasoning-delta", id: `r${step}`, delta: "", providerMetadata: { scripted: { signature: `s${step}` } } },
      { type: "reasoning-end", id: `r${step}`, providerMetadata: { scripted: { signature: `s${step}` } } },
      { type: "tool-input-start", toolCallId: call, toolName: "weather" },
    );
    for (let i = 0; i < json.length; i += 6)
      parts.push({ type: "tool-input-delta", toolCallId: call, inputTextDelta: json.slice(i, i + 6).join("") });
    parts.push(
      { type: "tool-input-available", toolCallId: call, toolName: "weather", input },
      { type: "data-progress", id: "p", data: { step } },
      { type: "tool-output-available", toolCallId: call, output: { rain: step % 2 === 0, report: Array.from({ length: 30 }, word).join("") } },
      { type: "finish-step" },
      { type: "start-step" },
      { type: "text-start", id: `t${step}` },
    );
    for (let i = 0; i < 350; i++) parts.push({ type: "text-delta", id: `t${step}`, delta: word() });
    parts.push({ type: "text-end", id: `t${step}` }, { type: "finish-step" });
  }
  parts.splice(count - 1, Infinity, { type: "finish" });
  return parts;
}

/**
 * Yields parts. Before each one it waits for what the function, given its number, returns.
 *
 * @template T
 * @param {readonly T[]} parts
 * @param {(index: number) => unknown} [before]
 * @returns {AsyncGenerator<T>}
 */
export async function* play(parts, before = () => undefined) {
  for (const [index, part] of parts.entries()) {
    await before(index);
    yield part;
  }
}
