import { text, type TextRef, type TopicRef } from "../channel.js";
import { staticSchema, type StandardSchema, type TextSchema } from "../schema.js";

/** What is published on the topic `control`. */
export interface Control {
  /** The id of an answer that begins. */
  readonly begin?: string;
  /** The id of the answer that is to stop. */
  readonly stop?: string;
}

/**
 * The topics of a channel that carries answers. Pages read `answer`. To stop an answer, a page publishes to
 * `control`, so a token that may stop answers grants publishing to it.
 *
 * @example channel({ name: ({ id }: { id: string }) => `chat:${id}`, topics: answerTopics })
 */
export const answerTopics: {
  readonly answer: { readonly schema: TextSchema };
  readonly control: { readonly schema: StandardSchema<Control> };
} = { answer: text(), control: { schema: /* @__PURE__ */ staticSchema<Control>() } };

/** A channel that has the {@link answerTopics}. */
export interface AnswerChannel {
  readonly $name: string;
  readonly answer: TextRef<"answer">;
  readonly control: TopicRef<"control", Control, Control>;
}

/** The step of a run under which an answer is published. */
export const STEP = "answer";
