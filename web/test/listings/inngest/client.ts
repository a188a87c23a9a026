import { sluiceRealtime } from "@sluicehq/sluice/inngest";
import { Inngest } from "inngest";
import { contentPipeline } from "./channels.js";

const { fetch, middleware } = sluiceRealtime({
  url: process.env.SLUICE_URL!,
  apiKey: process.env.SLUICE_API_KEY!,
  runChannel: ({ event }) => contentPipeline({ runId: event.data.runId }),
});

export const inngest = new Inngest({ id: "blog", fetch, middleware: [middleware] });
