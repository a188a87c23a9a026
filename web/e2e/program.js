// Starts a program as a shell does, in a process group of its own, and ends it as Ctrl-C would.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";

const START_TIMEOUT_MS = 300_000; // it may have to build the server
const STOP_TIMEOUT_MS = 60_000;

const running = new Set();
process.once("exit", () => {
  for (const { pid } of running) if (groupOf(pid).length) process.kill(-pid, "SIGKILL");
});

/**
 * Starts a program and waits until it tells its address.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {object} options
 * @param {string} options.cwd
 * @param {Record<string, string>} options.env
 * @param {(output: string) => string | undefined | false} options.addressIn finds the address in what was printed so far
 */
export async function startProgram(command, args, { cwd, env, addressIn }) {
  const child = spawn(command, args, { cwd, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  running.add(child);
  const exited = once(child, "exit");
  let output = "";
  const url = await new Promise((resolve, reject) => {
    const fail = (why) => reject(new Error(`${command} ${args.join(" ")} ${why}\n${output}`));
    const timer = setTimeout(fail, START_TIMEOUT_MS, "did not tell its address in time");
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => {
        output += text;
        const found = addressIn(output);
        if (!found) return;
        clearTimeout(timer);
        resolve(found);
      });
    }
    child.once("exit", (code, signal) => fail(`ended with ${code ?? signal}`));
  });

  async function end(pid, signal) {
    process.kill(pid, signal);
    const deadline = Date.now() + STOP_TIMEOUT_MS;
    await exited;
    while (groupOf(child.pid).length && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 50));
    const left = groupOf(child.pid);
    if (left.length) process.kill(-child.pid, "SIGKILL"); // they would keep this process waiting, too
    return left;
  }

  return {
    url,
    /** What it has printed. */
    output: () => output,
    /** Presses Ctrl-C, which a terminal tells all processes of the group. Returns those that are left. */
    stop: () => end(-child.pid, "SIGINT"),
    /** Ends the one process whose command matches, which has started the others. Returns those that are left. */
    terminate: (pattern) => end(groupOf(child.pid).find(({ command }) => pattern.test(command)).pid, "SIGTERM"),
    /** The processes that it consists of. */
    processes: () => groupOf(child.pid).map(({ command }) => command),
  };
}

/** Lists the processes of a group that run. A zombie has ended: it waits for a parent that does not come. */
function groupOf(group) {
  const numbers = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return numbers.flatMap((pid) => {
    try {
      const [state, , pgrp] = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /s, "").split(" ");
      if (Number(pgrp) !== group || state === "Z") return [];
      return [{ pid: Number(pid), command: readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim() }];
    } catch {
      return []; // it has ended meanwhile
    }
  });
}
