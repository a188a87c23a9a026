/**
 * Sluice in browsers and in every runtime with `fetch`: typed channels, and subscriptions that lose
 * nothing.
 *
 * @module
 */
export { channel } from "./channel.js";
export type {
  AnyChannel,
  Channel,
  ChannelFamily,
  InferData,
  InferMessage,
  Params,
  TopicDefinition,
  TopicName,
  TopicRef,
  Topics,
} from "./channel.js";
export { SluiceError, type Fault, type ErrorDetails } from "./error.js";
export type { Replay } from "./member.js";
export type { DataMessage, Gap, Message, Receipt, Run, RunMessage, TextStream } from "./message.js";
export type { Fetch, Token, TokenAnswer } from "./request.js";
export { staticSchema, type InferInput, type InferOutput, type Issue, type Result, type StandardSchema } from "./schema.js";
export type { Handlers, Snapshot, Status } from "./snapshot.js";
export { subscribe, type ChannelLike, type ConnectOptions, type MessageOf, type SubscribeOptions, type TopicOf } from "./subscribe.js";
export type { Subscription } from "./subscription.js";
