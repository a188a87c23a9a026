// Processes that do an application's work apart from its web server, so that they can crash.

import { fork, type ChildProcess } from "node:child_process";

const running = new Set<ChildProcess>();
process.once("exit", () => running.forEach((worker) => worker.kill("SIGKILL")));

/** Runs a TypeScript module in its own process, which ends with this one at the latest. */
export function startWorker(module: URL, args: readonly string[]): ChildProcess {
  const worker = fork(module, args); // with the same --import tsx, and SLUICE_URL in its environment
  running.add(worker);
  return worker.once("exit", () => running.delete(worker));
}
