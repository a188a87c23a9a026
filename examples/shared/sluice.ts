// The Sluice server that an example runs against.

import { execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const BUILT = fileURLToPath(new URL("../node_modules/.cache/sluice", import.meta.url));

/** Starts a Sluice on a free port, unless SLUICE_URL and SLUICE_API_KEY name one that is running. */
export async function findSluice(): Promise<{ url: string; apiKey: string }> {
  const { SLUICE_URL, SLUICE_API_KEY } = process.env;
  if (SLUICE_URL && SLUICE_API_KEY) return { url: SLUICE_URL, apiKey: SLUICE_API_KEY };

  const apiKey = randomBytes(24).toString("hex");
  const sluice = spawn(process.env.SLUICE_BIN ?? (await build()), ["--dev", "--listen", "127.0.0.1:0", "--log-level", "warn"], {
    // Arguments could be seen by everybody on this machine. SLUICE_BIN is ours, and no setting of the server.
    env: { ...process.env, SLUICE_BIN: undefined, SLUICE_API_KEYS: apiKey },
    stdio: ["ignore", "pipe", "inherit"],
  });
  process.once("exit", () => sluice.kill("SIGKILL")); // it keeps nothing that would have to be saved
  sluice.once("exit", (code, signal) => {
    console.error(`sluice has ended (${code ?? signal})`);
    process.exit(1);
  });
  // The first line tells where it listens, and comes once it does.
  for await (const line of createInterface(sluice.stdout)) {
    const found = /http:\/\/\S+:\d+/.exec(line);
    if (!found) continue;
    sluice.stdout.resume(); // it must never wait for somebody to read
    return { url: found[0], apiKey };
  }
  await once(sluice, "exit");
  throw new Error("sluice did not start");
}

/** Builds the server. `go run` would do, too, but would stand between us and the process when it is to end. */
async function build(): Promise<string> {
  console.log("building sluice …");
  await promisify(execFile)("go", ["build", "-o", BUILT, "./server"], { cwd: ROOT });
  return BUILT;
}
