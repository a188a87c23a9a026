// A browser opens six connections to a server, and over HTTP/1.1 a stream takes
// one of them. Over HTTP/2 a page may have more streams than that.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { launch, openPage } from "./browser.js";
import { startSluice } from "./sluice.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const BUILD_TIMEOUT_MS = 300_000;
const CHANNEL = "pipeline:run_42";
const STREAMS = 12;
const CONNECTIONS = 6; // of a browser to one server over HTTP/1.1
const options = { timeout: 600_000 }; // the server may have to be built

describe("many streams of one page", { timeout: 1_800_000 }, () => {
  let browser;
  before(async () => (browser = await launch()));
  after(() => browser?.close());

  test("over HTTP/2 all are open, and the page can still fetch", options, async (t) => {
    const sluice = await startWithTLS(t);
    const page = await openStreams(t, browser, sluice);
    await opened(page, STREAMS);
    const { id, protocol } = await publishFrom(page, sluice.apiKey, 60_000);
    assert.equal(protocol, "h2");
    await page.waitForFunction((n) => window.messages.length === n, STREAMS, { polling: 20 });
    assert.deepEqual(await page.evaluate(() => window.messages), Array(STREAMS).fill(id));
  });

  test("over HTTP/1.1 six are open, and the page can do nothing else", options, async (t) => {
    const sluice = await startSluice();
    t.after(() => sluice.kill());
    const page = await openStreams(t, browser, sluice);
    await opened(page, CONNECTIONS);
    await assert.rejects(publishFrom(page, sluice.apiKey, 1_000), /TimeoutError/);
    const { id } = await sluice.publish(CHANNEL, "status", 1);
    await page.waitForFunction((n) => window.messages.length >= n, CONNECTIONS, { polling: 20 });
    assert.deepEqual(await page.evaluate(() => window.messages), Array(CONNECTIONS).fill(id));
    assert.equal(await page.evaluate(() => window.opens), CONNECTIONS);
  });
});

/** Opens a page of the server itself, with a dozen streams in it. */
async function openStreams(t, browser, sluice) {
  const { page } = await openPage(browser, { ignoreHTTPSErrors: true });
  t.after(() => page.close());
  await page.goto(`${sluice.url}/healthz`); // it has a page's address and opens nothing
  await page.evaluate(
    async ([apiKey, channel, count]) => {
      const answer = await fetch("/v1/tokens", {
        method: "POST",
        headers: { Authorization: `Bearer ${apiKey}`, "Content-Type": "application/json" },
        body: JSON.stringify({ channel, topics: ["status"] }),
      });
      const { token } = await answer.json();
      window.opens = 0;
      window.messages = [];
      window.sources = Array.from({ length: count }, () => {
        const source = new EventSource(`/v1/subscribe?access_token=${token}`);
        source.addEventListener("$open", () => window.opens++);
        source.addEventListener("status", (event) => window.messages.push(event.lastEventId));
        return source;
      });
    },
    [sluice.apiKey, CHANNEL, STREAMS],
  );
  return page;
}

async function opened(page, count) {
  await page.waitForFunction((n) => window.opens >= n, count, { polling: 20 });
}

/** Publishes with a fetch of the page, and returns the id and the protocol that took it there. */
function publishFrom(page, apiKey, timeout) {
  return page.evaluate(
    async ([key, path, patience]) => {
      const answer = await fetch(path, {
        method: "POST",
        headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
        body: "1",
        signal: AbortSignal.timeout(patience),
      });
      const { id } = await answer.json();
      const [timing] = performance.getEntriesByName(new URL(path, location.href).href);
      return { id, protocol: timing.nextHopProtocol };
    },
    [apiKey, `/v1/publish/${encodeURIComponent(CHANNEL)}/status`, timeout],
  );
}

/** Starts a server with a certificate that nobody has signed, until the test ends. */
async function startWithTLS(t) {
  const folder = mkdtempSync(join(tmpdir(), "sluice-tls-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  certify(folder);
  const apiKey = randomBytes(24).toString("hex");
  const flags = ["--dev", "--listen=127.0.0.1:0", `--api-keys=${apiKey}`];
  flags.push(`--tls-cert=${join(folder, "cert.pem")}`, `--tls-key=${join(folder, "key.pem")}`);
  const child = spawn(binary(folder), flags, { stdio: ["ignore", "pipe", "pipe"] });
  let errors = "";
  child.stderr.on("data", (text) => (errors = (errors + text).slice(-4000)));
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  const exited = once(child, "exit");
  t.after(async () => {
    process.removeListener("exit", kill);
    kill();
    await exited;
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const found = /https:\/\/127\.0\.0\.1:\d+/.exec(line);
    if (found) return { url: found[0], apiKey };
  }
  throw new Error(`sluice did not start\n${errors}`);
}

/** Writes a certificate and its key into the folder, with the program that Go has for it. */
function certify(folder) {
  const goroot = execFileSync("go", ["env", "GOROOT"], { cwd: ROOT, encoding: "utf8" }).trim();
  const program = join(goroot, "src/crypto/tls/generate_cert.go");
  execFileSync("go", ["run", program, "--host=127.0.0.1", "--ecdsa-curve=P256"], { cwd: folder, stdio: "ignore", timeout: BUILD_TIMEOUT_MS });
}

/** Returns the path of the server: SLUICE_BIN, or one that is built into the folder. */
function binary(folder) {
  if (process.env.SLUICE_BIN) return process.env.SLUICE_BIN;
  const path = join(folder, "sluice");
  execFileSync("go", ["build", "-o", path, "./server"], { cwd: ROOT, timeout: BUILD_TIMEOUT_MS });
  return path;
}
