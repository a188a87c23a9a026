// What the worker publishes and the page shows. Both import this file, so the compiler finds any disagreement.

import { channel, text } from "@sluicehq/sluice";
import { z } from "zod";

/** The steps of the job, in order. */
export const STEPS = ["collect", "read", "draft", "check", "file"] as const;

/** One run of a job that writes a report. */
export const report = channel({
  name: ({ runId }: { runId: string }) => `report:${runId}`,
  topics: {
    /** A step is done. Published durably: once per run, however often the worker crashes. */
    step: { schema: z.object({ name: z.enum(STEPS), message: z.string(), attempt: z.int() }) },
    /** The draft, which is streamed while it is written. */
    draft: text(),
    /** What happens to the worker. Published in each attempt. */
    worker: { schema: z.object({ attempt: z.int(), event: z.enum(["started", "repeated", "crashed"]), detail: z.string() }) },
  },
});
