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
    // Everybody on this machine could see arguments. SLUICE_BIN is ours, not a setting of the server.
    env: { ...process.env, SLUICE_BIN: undefined, SLUICE_API_KEYS: apiKey },
    stdio: ["ignore", "pipe", "inherit"],
  });
  process.once("exit", () => sluice.kill("SIGKILL")); // it holds nothing that must be saved
  sluice.once("exit", (code, signal) => {
    console.error(`sluice has ended (${code ?? signal})`);
    process.exit(1);
  });
  // It prints its address on the first line once it listens.
  for await (const line of createInterface(sluice.stdout)) {
    const found = /http:\/\/\S+:\d+/.exec(line);
    if (!found) continue;
    sluice.stdout.resume(); // otherwise a full pipe would block it
    return { url: found[0], apiKey };
  }
  await once(sluice, "exit");
  throw new Error("sluice did not start");
}

/** Builds the server. `go run` would work, too, but would not pass on our signals. */
async function build(): Promise<string> {
  console.log("building sluice …");
  await promisify(execFile)("go", ["build", "-o", BUILT, "./server"], { cwd: ROOT });
  return BUILT;
}
