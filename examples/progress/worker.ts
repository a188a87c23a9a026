// The job. This process may end at any moment, in the middle of a step: then another one is started
// and runs all of it anew. What it publishes by run.publish() appears once all the same.

import { setTimeout as sleep } from "node:timers/promises";
import { createServer, SluiceError } from "@sluicehq/sluice/server";
import { report, type STEPS } from "./channel.ts";
import { DRAFT } from "./draft.ts";

const runId = process.argv[2]!;
const attempt = Number(process.argv[3]);

const sluice = createServer({ url: process.env.SLUICE_URL!, apiKey: process.env.SLUICE_API_KEY! });
const topics = report({ runId });
const run = sluice.run(topics, runId);

/** Does a step and tells of it, once a run: the key of the message is made of the run and the step. */
async function step(name: (typeof STEPS)[number], message: string): Promise<void> {
  await sleep(500); // the work itself
  const receipt = await run.publish(name, topics.step, { name, message, attempt });
  if (receipt.duplicate) await sluice.publish(topics.worker, { attempt, event: "repeated", detail: name });
}

/** Writes the draft as a language model would, word by word. The first attempt crashes in the middle of it. */
async function* write(): AsyncGenerator<string> {
  for (const [index, word] of DRAFT.entries()) {
    if (attempt === 1 && index === 30) process.kill(process.pid, "SIGKILL"); // no farewell, nothing is cleaned up
    await sleep(30);
    yield word;
  }
}

try {
  await run.start();
} catch (error) {
  // The crash came after the end: there is nothing left to do.
  if (error instanceof SluiceError && error.code === "conflict") process.exit(0);
  throw error;
}
await step("collect", "Found 14 measurements");
await step("read", "Read them; two were of the wrong day and are left out");
// A text is not durable. When its writer dies its readers see it as aborted, and the next attempt streams another one.
const { bytes } = await sluice.stream(topics.draft, write(), { runId });
await step("draft", `Wrote ${bytes} bytes`);
await step("check", "Compared each figure with its source");
await step("file", "Filed the report");
await run.complete({ words: DRAFT.length, attempts: attempt });
