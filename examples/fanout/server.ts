// The publisher. It knows none of its readers.

import { setTimeout as sleep } from "node:timers/promises";
import { createServer } from "@sluicehq/sluice/server";
import type { Routes } from "../shared/site.ts";
import { log, post, POSTS } from "./channels.ts";

const { SLUICE_URL: url = "", SLUICE_API_KEY: apiKey = "" } = process.env;
const sluice = createServer({ url, apiKey });

// From now on Sluice refuses what does not fit, whoever publishes it.
await sluice.define(log, { strict: true });
await sluice.define(post, { strict: true });

export const routes: Routes = {
  // A reader may read all posts and comment on each. A real application would check who is signed in.
  "POST /token": (query) =>
    sluice.token({
      sub: query.get("reader") ?? "",
      channels: [log.$name, "post:*"],
      publish: Object.keys(POSTS).map((id) => post({ id }).comment),
      ttl: "10m",
    }),

  // How many connections a reader has, according to Sluice.
  "POST /connections": async (query) => {
    const response = await fetch(`${url}/v1/subscribers?sub=${encodeURIComponent(query.get("reader") ?? "")}`, {
      headers: { Authorization: `Bearer ${apiKey}` },
    });
    const { subscribers } = (await response.json()) as { subscribers: unknown[] };
    return subscribers.length;
  },
};

void publishForEver();

/** Publishes an update of each post in turn, with a line of the log each time. */
async function publishForEver(): Promise<never> {
  for (let number = 1; ; number++) {
    for (const [id, title] of Object.entries(POSTS)) {
      await sleep(200);
      await sluice.publish(post({ id }).update, { number, text: `${title}: update ${number}` });
      await sluice.publish(log.line, { text: `update ${number} of ${title}` });
    }
  }
}
