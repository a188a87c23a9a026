// Starts an example by the command of its README, and looks at what it does.

import { fileURLToPath } from "node:url";
import { openPage } from "./browser.js";
import { startProgram } from "./program.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/**
 * Starts an example. It must be installed: npm --prefix examples ci
 *
 * @param {string} name
 * @param {{url: string, apiKey: string}} [sluice] the server to use; the example starts its own by default
 * @param {Record<string, string>} [settings] more variables
 */
export async function startExample(name, sluice, settings) {
  const env = { ...process.env, ...(sluice && { SLUICE_URL: sluice.url, SLUICE_API_KEY: sluice.apiKey }), ...settings };
  const address = new RegExp(`http://\\S+/${name}/(?=\\s)`);
  const example = await startProgram("npm", ["--prefix", "examples", "start", name], {
    cwd: ROOT,
    env,
    addressIn: (output) => address.exec(output)?.[0],
  });
  return { ...example, terminate: () => example.terminate(/^node .*start\.ts/) };
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
