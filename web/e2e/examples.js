// Starts an example by the command of its README, and ends it as Ctrl-C would.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { openPage } from "./browser.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const START_TIMEOUT_MS = 300_000; // it may have to build the server
const STOP_TIMEOUT_MS = 60_000;

const running = new Set();
process.once("exit", () => {
  for (const { pid } of running) if (groupOf(pid).length) process.kill(-pid, "SIGKILL");
});

/**
 * Starts an example in a process group of its own, as a shell does.
 *
 * @param {string} name
 * @param {{url: string, apiKey: string}} [sluice] the server to use; the example starts its own by default
 */
export async function startExample(name, sluice) {
  const env = { ...process.env, ...(sluice && { SLUICE_URL: sluice.url, SLUICE_API_KEY: sluice.apiKey }) };
  const child = spawn("npm", ["--prefix", "examples", "start", name], { cwd: ROOT, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  running.add(child);
  const exited = once(child, "exit");
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text));
  const url = await new Promise((resolve, reject) => {
    const fail = (why) => reject(new Error(`the example ${name} ${why}; run npm --prefix examples ci if it is not installed\n${output}`));
    const timer = setTimeout(fail, START_TIMEOUT_MS, "did not tell its address in time");
    createInterface({ input: child.stdout }).on("line", (line) => {
      const found = new RegExp(`http://\\S+/${name}/`).exec(line);
      if (!found) return;
      clearTimeout(timer);
      resolve(found[0]);
    });
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
    /** Presses Ctrl-C, which a terminal tells all processes of the group. Returns those that are left. */
    stop: () => end(-child.pid, "SIGINT"),
    /** Ends the one process that has started the others. Returns those that are left. */
    terminate: () => end(groupOf(child.pid).find(({ command }) => /^node .*start\.ts/.test(command)).pid, "SIGTERM"),
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

/**
 * Opens the page of an example. What it must not do is found in `strangers`, the addresses of other
 * hosts that it asked, and in `leaks`, the answers that had the API key in them.
 */
export async function openExample(browser, example, sluice) {
  const { page, faults, addresses } = await openPage(browser);
  const known = [new URL(example.url).origin, sluice.url, "data:"];
  const bodies = [];
  page.on("response", (response) => {
    const endless = response.headers()["content-type"] === "text/event-stream";
    if (!endless) bodies.push(response.text().then((text) => [response.url(), text], () => []));
  });
  await page.goto(example.url);
  return {
    page,
    faults,
    addresses,
    strangers: () => addresses.filter((address) => !known.some((start) => address.startsWith(start))),
    leaks: async () => (await Promise.all(bodies)).filter(([, text]) => text?.includes(sluice.apiKey)).map(([address]) => address),
    /** How many bodies were looked at. */
    answers: async () => (await Promise.all(bodies)).filter(([, text]) => text).length,
  };
}

/** What the server holds of a topic of a channel. */
export async function history({ url, apiKey }, channel, topic) {
  const response = await fetch(`${url}/v1/channels/${encodeURIComponent(channel)}/messages?topic=${topic}&limit=1000`, {
    headers: { Authorization: `Bearer ${apiKey}` },
  });
  return (await response.json()).messages;
}

/** The open streams, of one subject or of all. */
export async function streams({ url, apiKey }, sub = "") {
  const response = await fetch(`${url}/v1/subscribers${sub && `?sub=${sub}`}`, { headers: { Authorization: `Bearer ${apiKey}` } });
  return (await response.json()).subscribers;
}
