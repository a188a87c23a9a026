// The web server: it starts and kills the application, and gives the page its token.

import type { ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { createServer } from "@sluicehq/sluice/server";
import type { Routes } from "../shared/site.ts";
import { startWorker } from "../shared/worker.ts";
import { refund } from "./channel.ts";

const sluice = createServer({ url: process.env.SLUICE_URL!, apiKey: process.env.SLUICE_API_KEY! });
const running = new Map<string, ChildProcess>(); // by refund

await sluice.define(refund, { strict: true }); // from now on Sluice refuses an answer that is none, whoever sends it

export const routes: Routes = {
  "POST /refunds": async () => {
    const id = randomUUID();
    await start(id);
    return { id };
  },
  "POST /start": (query) => start(query.get("id") ?? ""),
  "POST /kill": (query) => void running.get(query.get("id") ?? "")?.kill("SIGKILL"),

  // The page may read all of this refund, and publish to one topic only: the answer. Who may approve
  // refunds, an application would know by its login.
  "POST /token": (query) => {
    const topics = refund({ id: query.get("id") ?? "" });
    return sluice.token({ channel: topics, publish: [topics.answer], sub: "reviewer", ttl: "10m" });
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
