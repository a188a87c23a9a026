import { write } from "../model.js";
import { contentPipeline } from "./channels.js";
import { sluice } from "./client.js";

export async function generatePost(event: { data: { runId: string; topic: string } }): Promise<void> {
  const run = sluice.run(contentPipeline(event.data), event.data.runId);
  const { publish } = sluice;
  const step = { run: <T>(_id: string, work: () => T) => work(), realtime: run };
  const work = async () => {
    const ch = contentPipeline({ runId: event.data.runId });
    await publish(ch.status, { message: "Writing", step: "write" });
    const words = await step.run("write", () => write(event.data.topic));
    for (const token of words) await publish(ch.tokens, { token });
    await step.realtime.publish("done", ch.status, { message: "Done" });
    return { words: words.length };
  };
  await run.start();
  await run.complete(await work());
}
