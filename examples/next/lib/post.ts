import { setTimeout as sleep } from "node:timers/promises";
import { streamText } from "ai";
import { pipeline } from "./channels";
import { model } from "./model";
import { sluice } from "./sluice";

/** Writes a post, and tells its pages about it. If its process dies, run it again: what the run publishes appears once. */
export async function writePost(runId: string): Promise<void> {
  const { status, draft } = pipeline({ runId });
  const run = sluice().run(pipeline({ runId }), runId);
  await run.start();
  try {
    await sluice().publish(status, { message: "Reading what others have written" });
    await sleep(1500);
    await sluice().publish(status, { message: "Writing" });
    const post = streamText({ model, prompt: "Write three short paragraphs about otters." });
    await run.stream("draft", draft, post.textStream);
    const { length } = await post.text; // rejects if the model failed
    await run.publish("done", status, { message: "Done" }); // once in this run
    await run.complete({ characters: length });
  } catch (error) {
    await run.fail(error);
  }
}
