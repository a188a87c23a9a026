// The job. This process may die at any moment, even in the middle of a step. Another one then starts
// and runs everything again. Even so, what run.publish() and run.stream() publish appears once.

import { setTimeout as sleep } from "node:timers/promises";
import { createServer, SluiceError } from "@sluicehq/sluice/server";
import { report, type STEPS } from "./channel.ts";
import { DRAFT } from "./draft.ts";

const runId = process.argv[2]!;
const attempt = Number(process.argv[3]);

const sluice = createServer({ url: process.env.SLUICE_URL!, apiKey: process.env.SLUICE_API_KEY! });
const topics = report({ runId });
const run = sluice.run(topics, runId, { attempt });

/** Does a step and reports it once per run: the key of the message is made of the run and the step. */
async function step(name: (typeof STEPS)[number], message: string): Promise<void> {
  await sleep(500); // the work itself
  const receipt = await run.publish(name, topics.step, { name, message, attempt });
  if (receipt.duplicate) await sluice.publish(topics.worker, { attempt, event: "repeated", detail: name });
}

/** Writes the draft word by word, as a language model would. The first attempt crashes halfway. */
async function* write(): AsyncGenerator<string> {
  for (const [index, word] of DRAFT.entries()) {
    if (attempt === 1 && index === 30) process.kill(process.pid, "SIGKILL"); // nothing is cleaned up
    await sleep(30);
    yield word;
  }
}

try {
  await run.start();
} catch (error) {
  // The last attempt crashed after the end of the run: there is nothing left to do.
  if (error instanceof SluiceError && error.code === "conflict") process.exit(0);
  throw error;
}
await step("collect", "Found 14 measurements");
await step("read", "Read them; two were of the wrong day and are left out");
// What an attempt that died has left of the text is replaced. A text that is complete is not written again.
const { bytes } = await run.stream("draft", topics.draft, write());
await step("draft", `Wrote ${bytes} bytes`);
await step("check", "Compared each figure with its source");
await step("file", "Filed the report");
await run.complete({ words: DRAFT.length, attempts: attempt });
