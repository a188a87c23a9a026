// Pages that use the SDK, the site that they are of, and what the tests ask of them.

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { openPage } from "./browser.js";

const PATIENCE_MS = 120_000;
const PAGE = '<!doctype html><title>A site</title><link rel="icon" href="data:,"><div id="root"></div>';

/**
 * Serves an empty page at any address, the package's modules below /dist/, and what else is given.
 *
 * @param {Record<string, () => unknown>} [answers] by path: text is sent as a module, the rest as JSON
 */
export async function startSDKSite(answers = {}) {
  const server = createServer(async ({ url }, response) => {
    const send = (type, body) => response.setHeader("Content-Type", type).end(body);
    try {
      if (url === "/collect.js") return send("text/javascript", file("collect.js"));
      if (/^\/dist\/[\w-]+\.js$/.test(url)) return send("text/javascript", file(`..${url}`));
      if (!answers[url]) return send("text/html", PAGE);
      const answer = await answers[url]();
      return typeof answer === "string" ? send("text/javascript", answer) : send("application/json", JSON.stringify(answer));
    } catch (error) {
      return response.writeHead(500).end(String(error));
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    stop() {
      server.closeAllConnections();
      server.close();
    },
  };
}

function file(name) {
  return readFileSync(new URL(name, import.meta.url));
}

/**
 * Opens a page of the site that has imported the SDK.
 *
 * @param browser or one of its contexts, whose pages are tabs of one browser
 * @param {string[]} modules what to import it from: what a server serves, or modules of /dist/
 */
export async function openSDK(browser, site, modules) {
  const opened = await openPage(browser);
  await opened.page.goto(site.url);
  await opened.page.evaluate(async (addresses) => {
    const parts = await Promise.all([...addresses, "/collect.js"].map((address) => import(address)));
    window.sdk = Object.assign({}, ...parts);
  }, modules);
  return opened;
}

/** Begins a subscription in the page; see collect() for the options. */
export function begin(page, options, name = "main") {
  return page.evaluate(([key, given]) => window.sdk.collect(window.sdk, key, given), [name, options]);
}

/** Returns the account of a subscription. */
export function accountOf(page, name = "main") {
  return page.evaluate((key) => {
    const { sub, ...account } = window.accounts[key];
    return account;
  }, name);
}

/** Waits until a subscription is open. */
export function opened(page, name = "main") {
  return until(page, ({ sub }) => sub.getSnapshot().status === "open", undefined, name);
}

/**
 * Waits until the condition holds of an account.
 *
 * @param condition runs in the page, with the account and the argument
 */
export async function until(page, condition, argument, name = "main") {
  const expression = `(${condition})(window.accounts[${JSON.stringify(name)}], ${JSON.stringify(argument)})`;
  try {
    await page.waitForFunction(expression, undefined, { polling: 50, timeout: PATIENCE_MS });
  } catch (cause) {
    const { told, statuses, invalid } = await accountOf(page, name);
    const state = JSON.stringify({ told: told.length, last: told.at(-1), statuses: statuses.slice(-3), invalid }).slice(0, 2000);
    throw new Error(`${name} waited in vain for ${condition}\n${state}`, { cause });
  }
}

/** Waits until a message with this number as its `n` has come. */
export function untilNumber(page, n, name = "main") {
  return until(page, ({ told }, wanted) => told.findLast((item) => item.data)?.data.n >= wanted, n, name);
}

/** Splits what a subscription was told. */
export function sorted({ told }) {
  return { messages: told.filter((item) => !item.gap), gaps: told.flatMap(({ gap }) => gap ?? []) };
}

/**
 * Waits until just these streams are open at the server.
 *
 * @param {string[][]} wanted the channels of each
 */
export async function untilStreams(sluice, wanted) {
  const inOrder = (lists) => JSON.stringify(lists.map((list) => [...list].sort().join(" ")).sort());
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const streams = inOrder((await sluice.subscribers()).map(({ channels }) => channels));
    if (streams === inOrder(wanted)) return;
    if (Date.now() > deadline) throw new Error(`open are ${streams} in place of ${inOrder(wanted)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Errors that a page did not catch: losses of connections are told on the console and are none. */
export function uncaught(faults) {
  return faults.filter((fault) => !/Failed to load resource|blocked by CORS policy/.test(fault));
}

export function upTo(n) {
  return Array.from({ length: n }, (_, i) => i + 1);
}
