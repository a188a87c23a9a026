// The messages between the application, its server and the page.

import { channel } from "@sluicehq/sluice";
import { z } from "zod";

/** One refund, from the request to the money. */
export const refund = channel({
  name: ({ id }: { id: string }) => `refund:${id}`,
  topics: {
    /** What the application has done. */
    log: { schema: z.object({ message: z.string() }) },
    /** What the application wants to know. */
    question: { schema: z.object({ text: z.string() }) },
    /** What somebody answers in the browser. Who it was is not in the data: Sluice adds it to the message. */
    answer: { schema: z.object({ approved: z.boolean() }) },
    /** Whether the application's process is running, reported by the server that starts it. */
    process: { schema: z.object({ state: z.enum(["running", "killed", "ended"]), pid: z.int() }) },
  },
});
