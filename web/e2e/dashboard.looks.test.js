// Every section of the dashboard, in light and dark, narrow and wide.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { findings } from "./axe.js";
import { launch, openPage } from "./browser.js";
import { startSluice } from "./sluice.js";

const options = { timeout: 600_000 };

/** The sections, and what is there once they have what they show. */
const SECTIONS = [
  { hash: "#/overview", shows: "Busiest channels" },
  { hash: "#/channels", shows: "pipeline:run_0" },
  { hash: "#/channels/pipeline%3Arun_1", shows: "without a subject" },
  { hash: `#/channels/long%3A${"n".repeat(251)}`, shows: "without a subject" },
  { hash: "#/subscribers", shows: "user-7" },
  { hash: "#/definitions", shows: "pipeline:{runId}" },
  { hash: "#/definitions/pipeline%3A%7BrunId%7D", shows: "The server would accept it." },
  { hash: "#/definitions/%20", shows: "A definition needs a name" },
  { hash: "#/tokens", shows: "Make a token" },
  { hash: "#/webhooks", shows: "No webhooks are configured" },
  { hash: "#/node", shows: "Memory in the last minute" },
  { hash: "#/debugger", shows: "Stream opened" },
];

describe("the dashboard's looks", { timeout: 1_800_000 }, () => {
  let browser, sluice, reader;

  before(async () => {
    browser = await launch();
    sluice = await startSluice();
    for (let n = 0; n < 30; n++) await sluice.publish(`pipeline:run_${n}`, "status", { message: "w".repeat(300), n });
    await sluice.setRun("pipeline:run_1", { status: "failed", run_id: "r".repeat(60), error: "disk full" });
    await sluice.define("pipeline:{runId}", { topics: { status: { schema: { type: "object" } }, ["t".repeat(64)]: {} } });
    await sluice.publish(`long:${"n".repeat(251)}`, "status", 1);
    const token = await sluice.mint({ channel: "pipeline:run_1", sub: "user-7" });
    reader = await fetch(`${sluice.url}/v1/subscribe`, { headers: { Authorization: `Bearer ${token}` } });
  });
  after(async () => {
    await browser?.close();
    await reader?.body.cancel();
    await sluice?.stop();
  });

  for (const { hash, shows } of SECTIONS) {
    for (const width of [360, 1440]) {
      test(`${hash.slice(0, 40)} at ${width} pixels`, options, async () => {
        const { page, faults } = await openPage(browser, { viewport: { width, height: 800 }, reducedMotion: "reduce" });
        await page.goto(`${sluice.url}/${hash}`);
        await page.getByText(shows).first().waitFor();
        assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false, "no sideways scrolling");
        for (const colorScheme of ["light", "dark"]) {
          await page.emulateMedia({ colorScheme });
          const [paper, ink] = await page.evaluate(() =>
            [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color].map((c) => Number(/\d+/.exec(c)[0])),
          );
          assert.equal(paper < ink, colorScheme === "dark");
          assert.deepEqual(await findings(page), [], colorScheme);
        }
        assert.deepEqual(faults, []);
        await page.close();
      });
    }
  }
});
