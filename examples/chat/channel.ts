// What is published. The server and the page both import this file.

import { channel } from "@sluicehq/sluice";
import { answerTopics } from "@sluicehq/sluice/ai";

/** One chat. */
export const chats = channel({ name: ({ id }: { id: string }) => `chat:${id}`, topics: answerTopics });
