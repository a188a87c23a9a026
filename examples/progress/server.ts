// The application's server: it starts workers, restarts them when they crash, and issues the page's token.

import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { ChildProcess } from "node:child_process";
import { createServer } from "@sluicehq/sluice/server";
import type { Routes } from "../shared/site.ts";
import { startWorker } from "../shared/worker.ts";
import { report } from "./channel.ts";

const sluice = createServer({ url: process.env.SLUICE_URL!, apiKey: process.env.SLUICE_API_KEY! });
const workers = new Map<string, ChildProcess>(); // by run

await sluice.define(report); // from now on Sluice refuses messages that do not fit

export const routes: Routes = {
  "POST /runs": () => {
    const runId = randomUUID();
    void work(runId);
    return { runId };
  },

  "POST /crash": (query) => ({ killed: workers.get(query.get("run") ?? "")?.kill("SIGKILL") ?? false }),

  // The page may read this run and nothing else. A real application would check who is signed in.
  "POST /token": (query) => sluice.token({ channel: report({ runId: query.get("run") ?? "" }), ttl: "10m" }),
};

/** Runs a job to its end, however many attempts it takes. */
async function work(runId: string): Promise<void> {
  const { worker: topic } = report({ runId });
  for (let attempt = 1; ; attempt++) {
    const worker = startWorker(new URL("worker.ts", import.meta.url), [runId, String(attempt)]);
    workers.set(runId, worker);
    await sluice.publish(topic, { attempt, event: "started", detail: `process ${worker.pid}` });
    const [code, signal] = (await once(worker, "exit")) as [number | null, string | null];
    workers.delete(runId);
    if (code === 0) return;
    await sluice.publish(topic, { attempt, event: "crashed", detail: signal ?? `exit code ${code}` });
    await sleep(1000);
  }
}
