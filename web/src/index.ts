/**
 * Sluice for browsers and every runtime with `fetch`: typed channels, and subscriptions that resume
 * where they stopped and report every loss.
 *
 * @module
 */
export { channel, text } from "./channel.js";
export type {
  AnyChannel,
  AnyRef,
  Channel,
  ChannelFamily,
  InferData,
  InferMessage,
  InngestChannel,
  InngestRef,
  MergeRule,
  Params,
  TextRef,
  TopicDefinition,
  TopicName,
  TopicRef,
  Topics,
} from "./channel.js";
export { SluiceError, type Fault, type ErrorDetails } from "./error.js";
export type { Replay } from "./poolmember.js";
export type { DataMessage, Gap, Message, Receipt, Run, RunMessage, TextStream } from "./message.js";
export type { Fetch, Token, TokenAnswer } from "./request.js";
export {
  staticSchema,
  type InferInput,
  type InferOutput,
  type Issue,
  type Result,
  type StandardSchema,
  type TextSchema,
} from "./schema.js";
export type { Handlers, Snapshot, Status } from "./snapshot.js";
export { subscribe, type ChannelLike, type ConnectOptions, type MessageOf, type SubscribeOptions, type TopicOf } from "./subscribe.js";
export type { Subscription } from "./subscription.js";
