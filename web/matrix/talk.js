// A conversation with a real server, in whatever runtime this runs: a token, durable publishes, a
// text, the end of a run, and a subscription that hears it all. It prints what the subscriber got.

import { channel, staticSchema, subscribe, text } from "@sluicehq/sluice";
import { createServer } from "@sluicehq/sluice/server";

const [url, apiKey, name] = process.argv.slice(2);
const job = channel({ name, topics: { status: { schema: staticSchema() }, draft: text() } });
const sluice = createServer({ url, apiKey });
const run = sluice.run(job, name);
const heard = [];

await run.start();
await run.publish("first", job.status, { step: 1 });
const token = () => sluice.token({ channel: job });
for await (const message of subscribe({ url, token, channel: job, replay: "all", until: "end" })) {
  if (message.topic === "draft") {
    let whole = "";
    for await (const chunk of message.chunks) whole += chunk;
    heard.push(whole);
    await run.complete();
    continue;
  }
  heard.push(message.data.step);
  if (message.data.step === 1) await run.publish("second", job.status, { step: 2 });
  else await run.stream("draft", job.draft, ["word ", "by ", "wörd"]);
}
console.log(JSON.stringify(heard));
