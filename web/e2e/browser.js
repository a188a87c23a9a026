// Chromium, and pages that keep an account of what they did.

import { accessSync, constants } from "node:fs";
import { createServer } from "node:http";
import { once } from "node:events";
import { delimiter, join } from "node:path";
import { chromium } from "playwright-core";

const TIMEOUT_MS = 120_000; // long, since machines may be busy

function chromiumPath() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  const folders = (process.env.PATH ?? "").split(delimiter).filter(Boolean);
  const found = ["/usr/bin/chromium", ...folders.map((folder) => join(folder, "chromium"))].find(executable);
  if (!found) throw new Error("These tests need Chromium: install it, or name it in the variable CHROMIUM.");
  return found;
}

function executable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** @param {string[]} [args] more arguments for Chromium */
export function launch(args = []) {
  return chromium.launch({
    executablePath: chromiumPath(),
    args: ["--no-sandbox", "--disable-quic", "--disable-background-networking", ...args],
    timeout: 120_000,
  });
}

/**
 * Opens a page that remembers what went wrong in it and whom it talked to.
 *
 * @returns {Promise<{page: import("playwright-core").Page, faults: string[], addresses: string[]}>}
 */
export async function openPage(browser, options = {}) {
  const page = await browser.newPage(options);
  page.setDefaultTimeout(TIMEOUT_MS);
  const faults = [];
  const addresses = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) faults.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => faults.push(`page: ${error.message}`));
  page.on("request", (request) => addresses.push(request.url()));
  await page.exposeFunction("reportViolation", (text) => faults.push(`policy: ${text}`));
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      window.reportViolation(`${event.violatedDirective} ${event.blockedURI}`);
    });
  });
  return { page, faults, addresses };
}

/** Serves an empty page, as the site of somebody who uses Sluice would be one. */
export async function startSite() {
  const server = createServer((request, response) => {
    response.setHeader("Content-Type", "text/html");
    response.end('<!doctype html><title>A site</title><link rel="icon" href="data:,">');
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    stop: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

/**
 * Opens an EventSource in the page and keeps what it is sent: window.source,
 * window.events (type, id, data as JSON) and window.errors (readyState). window.text
 * joins the chunks of a text among the events.
 */
export function listen(page, url, topics) {
  return page.evaluate(
    ([address, types]) => {
      window.events = [];
      window.errors = [];
      window.opens = 0;
      window.text = () =>
        window.events
          .filter(({ data }) => data.kind === "chunk")
          .map(({ data }) => data.data)
          .join("");
      window.source = new EventSource(address);
      window.source.onopen = () => window.opens++;
      window.source.onerror = () => window.errors.push(window.source.readyState);
      for (const type of [...types, "$open", "$gap", "$close", "$run", "$position", "message"]) {
        window.source.addEventListener(type, (event) => {
          window.events.push({ type: event.type, id: event.lastEventId, data: JSON.parse(event.data) });
        });
      }
    },
    [url, topics],
  );
}

/** Waits for so many events of one type and returns all of that type. */
export async function received(page, type, count) {
  await page.waitForFunction(
    ([wanted, n]) => window.events.filter((event) => event.type === wanted).length >= n,
    [type, count],
    { polling: 20 },
  );
  return page.evaluate((wanted) => window.events.filter((event) => event.type === wanted), type);
}

/** Waits until the EventSource has given up. */
export async function closed(page) {
  await page.waitForFunction(() => window.source.readyState === EventSource.CLOSED, undefined, { polling: 20 });
}
