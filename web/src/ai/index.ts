/**
 * Answers of a model that survive lost connections, reloads and retries: for `useChat` of the AI SDK, and
 * for anything else that streams text.
 *
 * @module
 */
export type { AnswerSource } from "./parts.js";
export { textOf } from "./parts.js";
export { publishAnswer, type AnswerOptions, type PublishedAnswer } from "./publish.js";
export { answerTopics, type AnswerChannel, type Control } from "./topics.js";
export {
  SluiceChatTransport,
  type AnswerRequest,
  type ResumeRequest,
  type SendRequest,
  type SluiceChatTransportOptions,
} from "./transport.js";
