// What the worker publishes and the page shows. Both import this file, and neither compiles if they disagree.

import { channel, staticSchema } from "@sluicehq/sluice";
import { z } from "zod";

/** The steps of the job, in their order. */
export const STEPS = ["collect", "read", "draft", "check", "file"] as const;

/** One run of a job that writes a report. */
export const report = channel({
  name: ({ runId }: { runId: string }) => `report:${runId}`,
  topics: {
    /** A step is done. Published durably: once a run, however often the worker crashes. */
    step: { schema: z.object({ name: z.enum(STEPS), message: z.string(), attempt: z.int() }) },
    /** The draft, as a text that is streamed while it is written. Nothing checks a text, so a type is enough. */
    draft: { schema: staticSchema<string>() },
    /** What becomes of the worker. Published at each attempt anew. */
    worker: { schema: z.object({ attempt: z.int(), event: z.enum(["started", "repeated", "crashed"]), detail: z.string() }) },
  },
});
