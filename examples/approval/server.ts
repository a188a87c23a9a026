// The web server: it starts and kills the application, and issues the page's token.

import type { ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { createServer } from "@sluicehq/sluice/server";
import type { Routes } from "../shared/site.ts";
import { startWorker } from "../shared/worker.ts";
import { refund } from "./channel.ts";

const sluice = createServer({ url: process.env.SLUICE_URL!, apiKey: process.env.SLUICE_API_KEY! });

/** Who uses the page. A real application would take this from the session of whoever is signed in. */
const REVIEWER = "ana@lamps.example";

const running = new Map<string, ChildProcess>(); // by refund

await sluice.define(refund, { strict: true }); // from now on Sluice refuses invalid answers, whoever sends them

export const routes: Routes = {
  "POST /refunds": async () => {
    const id = randomUUID();
    await start(id);
    return { id };
  },
  "POST /start": (query) => start(query.get("id") ?? ""),
  "POST /kill": (query) => void running.get(query.get("id") ?? "")?.kill("SIGKILL"),

  // The page may read everything about this refund and publish only to the answer topic. What it
  // publishes carries the subject of this token, so everybody sees who answered.
  "POST /token": (query) => {
    const topics = refund({ id: query.get("id") ?? "" });
    return sluice.token({ channel: topics, publish: [topics.answer], sub: REVIEWER, ttl: "10m" });
  },
};

/** Starts the application for a refund, unless it is running. */
async function start(id: string): Promise<void> {
  if (running.has(id)) return;
  const app = startWorker(new URL("app.ts", import.meta.url), [id]);
  const pid = app.pid!;
  const tell = (state: "running" | "killed" | "ended") => sluice.publish(refund({ id }).process, { state, pid });
  running.set(id, app);
  app.once("exit", (code) => {
    running.delete(id);
    void tell(code === 0 ? "ended" : "killed");
  });
  await tell("running");
}
