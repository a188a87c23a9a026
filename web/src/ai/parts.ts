import type { Part } from "./encoding.js";

/** Anything that streams an answer. */
export type AnswerSource = AsyncIterable<unknown> | Iterable<unknown> | ReadableStream<unknown>;

/** What the streams of several libraries yield. */
interface Item {
  readonly type?: string;
  readonly choices?: readonly { readonly text?: string; readonly delta?: { readonly content?: string | null } }[];
  readonly content?: string | readonly { readonly text?: string }[];
  readonly delta?: string | { readonly text?: string };
  readonly data?: { readonly delta?: string };
}

/**
 * Returns the text in an item of a stream: a string; a chunk of a chat completion, or an event of a response, as OpenAI
 * and servers compatible with it send them; an event of a message of Anthropic; a chunk of a message of LangChain; a
 * chunk or an event of LlamaIndex. undefined: it may be a part.
 */
function textIn(item: unknown): string | undefined {
  if (typeof item === "string") return item;
  const { type, choices, content, delta, data } = Object(item) as Item;
  if (choices) return choices[0]?.delta?.content ?? choices[0]?.text ?? "";
  if (content !== undefined) return typeof content === "string" ? content : content.map(({ text = "" }) => text).join("");
  if (type === undefined) return typeof delta === "string" ? delta : (data?.delta ?? "");
  if (type === "response.output_text.delta") return delta as string;
  if (type === "content_block_delta") return (delta as { text?: string }).text ?? "";
  return /^(?!data-).*[._]/.test(type) ? "" : undefined;
}

/**
 * Yields the texts of a stream: of strings, of a chat completion or a response of OpenAI or a server that is compatible, of
 * a message of Anthropic, of LangChain or of LlamaIndex. What has no text, such as the call of a tool, is left out.
 *
 * @example await sluice.stream(chat.draft, textOf(await openai.chat.completions.create({ ...request, stream: true })));
 */
export async function* textOf(source: AnswerSource): AsyncGenerator<string> {
  for await (const item of source as AsyncIterable<unknown>) {
    const text = textIn(item) ?? "";
    if (text) yield text;
  }
}

/** Yields the parts of a stream of parts, or makes parts of the texts of any other. Readers know the answer by its id. */
export async function* partsOf(source: AnswerSource, messageId: string): AsyncGenerator<Part> {
  const id = "text";
  let begun = false;
  for await (const item of source as AsyncIterable<unknown>) {
    const delta = textIn(item);
    if (delta === undefined) yield (item as Part).type === "start" ? { messageId, ...(item as Part) } : (item as Part);
    if (!delta) continue;
    if (!begun)
      yield* [
        { type: "start", messageId },
        { type: "text-start", id },
      ];
    begun = true;
    yield { type: "text-delta", id, delta };
  }
  if (begun) yield* [{ type: "text-end", id }, { type: "finish" }];
}
