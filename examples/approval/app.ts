// The application: one function that asks a person halfway through. It stores nothing. When it is killed
// and started again, it runs from its first line, and does not publish or ask anything twice.

import { createServer, SluiceError } from "@sluicehq/sluice/server";
import { refund } from "./channel.ts";

const id = process.argv[2]!;
const sluice = createServer({ url: process.env.SLUICE_URL!, apiKey: process.env.SLUICE_API_KEY! });
const topics = refund({ id });
const run = sluice.run(topics, id);

async function main(): Promise<void> {
  await run.start();
  await run.publish("received", topics.log, { message: "The customer wants 240 € back for a broken lamp." });

  // Waits as long as it takes, and also finds an answer that came while this process was dead.
  const { approved } = await run.ask("approve", topics.question, { text: "Refund 240 €?" }, { reply: topics.answer });

  await run.publish("decided", topics.log, {
    message: approved ? "Approved: 240 € are on their way." : "Declined: the customer was told.",
  });
  await run.complete({ refunded: approved ? 240 : 0 });
}

await main().catch((error: unknown) => {
  // It was started again after its end.
  if (!(error instanceof SluiceError && error.code === "conflict")) throw error;
});
