import { channel, text } from "@sluicehq/sluice";
import { answerTopics } from "@sluicehq/sluice/ai";
import { z } from "zod";

/** One run of the function that writes a post. */
export const pipeline = channel({
  name: ({ runId }: { runId: string }) => `pipeline:${runId}`,
  topics: {
    status: { schema: z.object({ message: z.string() }) },
    draft: text(),
  },
});

/** One chat. */
export const chats = channel({ name: ({ id }: { id: string }) => `chat:${id}`, topics: answerTopics });
