// All messages. The server defines them in Sluice, and the page uses their types.

import { channel } from "@sluicehq/sluice";
import { z } from "zod";

/** One channel for everybody. */
export const log = channel({
  name: "global:log",
  topics: { line: { schema: z.object({ text: z.string() }) } },
});

/** One channel per post. */
export const post = channel({
  name: ({ id }: { id: string }) => `post:${id}`,
  topics: {
    /** The updates of a post are numbered, so that a page can tell whether it missed one. */
    update: { schema: z.object({ number: z.int().min(1), text: z.string() }) },
    comment: { schema: z.object({ author: z.string().min(1), text: z.string().min(1).max(200) }) },
  },
});

export const POSTS: Readonly<Record<string, string>> = {
  harbour: "The harbour",
  bridge: "The new bridge",
  market: "Market day",
  weather: "Weather",
  trains: "Trains",
  river: "The river",
};
