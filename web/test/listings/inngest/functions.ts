import { write } from "../model.js";
import { contentPipeline } from "./channels.js";
import { inngest } from "./client.js";

export const generatePost = inngest.createFunction(
  { id: "generate-post", triggers: [{ event: "app/generate-post" }] },
  async ({ event, publish, step }) => {
    const ch = contentPipeline({ runId: event.data.runId });
    await publish(ch.status, { message: "Writing", step: "write" });
    const words = await step.run("write", () => write(event.data.topic));
    for (const token of words) await publish(ch.tokens, { token });
    await step.realtime.publish("done", ch.status, { message: "Done" });
    return { words: words.length };
  },
);
