// SluiceChatTransport is a ChatTransport of each version of the AI SDK, although it does not need its types.

import type { ChatTransport, UIMessage } from "ai";
import type { ChatTransport as ChatTransport7, UIMessage as UIMessage7 } from "ai7";
import { SluiceChatTransport, type SluiceChatTransportOptions } from "../src/ai/index.js";

type Answer = UIMessage<{ model: string }, { progress: { step: number } }>;

declare const options: SluiceChatTransportOptions;
declare const optionsOfAnswers: SluiceChatTransportOptions<Answer>;
export const transport: ChatTransport<UIMessage> = new SluiceChatTransport(options);
export const typed: ChatTransport<Answer> = new SluiceChatTransport<Answer>(optionsOfAnswers);
export const later: ChatTransport7<UIMessage7> = new SluiceChatTransport(options);
// @ts-expect-error: an answer is not any string
export const wrong: SluiceChatTransportOptions["api"] = () => Promise.resolve("id");
