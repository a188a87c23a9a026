// What the application, its server and the page say to each other.

import { channel } from "@sluicehq/sluice";
import { z } from "zod";

/** One refund, from the request to the money. */
export const refund = channel({
  name: ({ id }: { id: string }) => `refund:${id}`,
  topics: {
    /** What the application has done. */
    log: { schema: z.object({ message: z.string() }) },
    /** What it wants to know. */
    question: { schema: z.object({ text: z.string() }) },
    /** What somebody says to that, in the browser. */
    answer: { schema: z.object({ approved: z.boolean() }) },
    /** Whether the application's process is there, told by whoever starts it. */
    process: { schema: z.object({ state: z.enum(["running", "killed", "ended"]), pid: z.int() }) },
  },
});
