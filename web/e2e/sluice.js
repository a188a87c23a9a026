// Starts the real server for a test, and ends it whatever becomes of the test.

import { execFile, spawn } from "node:child_process";
import { generateKeyPairSync, randomBytes, randomInt } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const BUILD_TIMEOUT_MS = 300_000;
const START_TIMEOUT_MS = 120_000;
const STOP_TIMEOUT_MS = 60_000;
const REQUEST_TIMEOUT_MS = 60_000;

const folder = mkdtempSync(join(tmpdir(), "sluice-e2e-"));
const running = new Set();

// The runner ends a test file that hangs with SIGTERM.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => process.exit(1));
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

let built; // the promise of the binary's path

/** Builds the server, once a process. SLUICE_BIN names one that is there already. */
function binary() {
  if (process.env.SLUICE_BIN) return process.env.SLUICE_BIN;
  const path = join(folder, "sluice");
  built ??= promisify(execFile)("go", ["build", "-o", path, "./server"], { cwd: ROOT, timeout: BUILD_TIMEOUT_MS }).then(() => path);
  return built;
}

/** Writes a private key that signs tokens, so that they outlive one server. */
export function signingKeys() {
  const jwk = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" });
  const path = join(folder, `keys-${randomBytes(4).toString("hex")}.json`);
  writeFileSync(path, JSON.stringify({ keys: [{ ...jwk, alg: "EdDSA" }] }), { mode: 0o600 });
  return path;
}

/**
 * Returns a port that nobody listens on now. It is below those that systems give to outgoing
 * connections, so none of these takes it while a server that comes back there is away.
 */
async function freePort() {
  for (;;) {
    const port = randomInt(10_000, 32_000);
    const server = createServer();
    server.listen(port, "127.0.0.1");
    const free = await once(server, "listening").then(
      () => true,
      () => false,
    );
    if (!free) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

/**
 * Starts a server and waits until it is ready.
 *
 * @param {object} [options]
 * @param {number} [options.port] a free one by default
 * @param {string} [options.apiKey] a random one by default
 * @param {boolean} [options.dev] true by default; false needs keys among the flags
 * @param {string[]} [options.flags] more flags
 */
export async function startSluice({ port, apiKey = randomBytes(24).toString("hex"), dev = true, flags = [] } = {}) {
  const args = ["--listen", `127.0.0.1:${port ?? (await freePort())}`, "--api-keys", apiKey, ...flags];
  if (dev) args.unshift("--dev");
  const child = spawn(await binary(), args, { stdio: ["ignore", "pipe", "pipe"] });
  running.add(child);
  const exited = once(child, "exit").finally(() => running.delete(child));
  const url = await addressOf(child);
  await ready(url);

  async function call(method, path, body, headers = {}) {
    const response = await fetch(url + path, {
      method,
      headers: { Authorization: `Bearer ${apiKey}`, "Content-Type": "application/json", ...headers },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text === "" ? undefined : JSON.parse(text);
  }

  async function end(signal) {
    child.kill(signal);
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    await exited;
    clearTimeout(timer);
  }

  return {
    url,
    port: Number(new URL(url).port),
    pid: child.pid,
    apiKey,
    /** @param {object} grant as POST /v1/tokens takes it */
    mint: async (grant) => (await call("POST", "/v1/tokens", grant)).token,
    /** The whole answer, as a site hands it to its page. */
    token: (grant) => call("POST", "/v1/tokens", grant),
    publish: (channel, topic, data) =>
      call("POST", `/v1/publish/${encodeURIComponent(channel)}/${encodeURIComponent(topic)}`, data),
    /** Publishes in one request. */
    publishAll: (messages) => call("POST", "/v1/publish", messages),
    define: (channel, definition) => call("PUT", `/v1/schemas/${encodeURIComponent(channel)}`, definition),
    setRun: (channel, run) => call("PUT", `/v1/channels/${encodeURIComponent(channel)}/run`, run),
    /** What is known of a channel. */
    channel: (name) => call("GET", `/v1/channels/${encodeURIComponent(name)}`),
    definitions: async () => (await call("GET", "/v1/schemas")).schemas,
    /** Lists the streams that are open, one for each connection. */
    subscribers: async () => (await call("GET", "/v1/subscribers")).subscribers,
    revoke: (token) => call("DELETE", `/v1/tokens/${claimsOf(token).jti}`),
    /** Waits until the server has noticed that nobody reads the channel any more. */
    async deserted(channel) {
      const deadline = Date.now() + REQUEST_TIMEOUT_MS;
      while ((await call("GET", `/v1/channels/${encodeURIComponent(channel)}`)).subscribers > 0) {
        if (Date.now() > deadline) throw new Error(`somebody still reads ${channel}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    /** Ends it as a crash would. */
    kill: () => end("SIGKILL"),
    stop: () => end("SIGTERM"),
  };
}

function claimsOf(token) {
  return JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
}

/** Waits for the line on standard output that tells where the server listens. */
async function addressOf(child) {
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text) => (errors = (errors + text).slice(-4000)));
  const lines = createInterface({ input: child.stdout });
  return new Promise((resolve, reject) => {
    const fail = (why) => reject(new Error(`sluice ${why}\n${errors}`));
    const timer = setTimeout(fail, START_TIMEOUT_MS, "did not tell its address in time");
    lines.on("line", (line) => {
      const found = /http:\/\/127\.0\.0\.1:\d+/.exec(line);
      if (found) resolve(found[0]);
    });
    child.once("error", (error) => fail(`did not start: ${error.message}`));
    child.once("exit", (code, signal) => fail(`ended with ${code ?? signal}`));
    lines.once("close", () => clearTimeout(timer));
    lines.once("line", () => clearTimeout(timer));
  });
}

async function ready(url) {
  const deadline = Date.now() + START_TIMEOUT_MS;
  for (;;) {
    const ok = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) }).then(
      async (response) => (await response.text(), response.ok),
      () => false,
    );
    if (ok) return;
    if (Date.now() > deadline) throw new Error("sluice did not get ready in time");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
