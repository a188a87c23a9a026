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
  { hash: "#/debugger", shows: "Stream opened" },
];

describe("the dashboard's looks", { timeout: 1_800_000 }, () => {
  let browser, sluice;

  before(async () => {
    browser = await launch();
    sluice = await startSluice();
    for (let n = 0; n < 30; n++) await sluice.publish(`pipeline:run_${n}`, "status", { message: "w".repeat(300), n });
  });
  after(async () => {
    await browser?.close();
    await sluice?.stop();
  });

  for (const { hash, shows } of SECTIONS) {
    for (const width of [360, 1440]) {
      for (const colorScheme of ["light", "dark"]) {
        test(`${hash} at ${width} pixels, ${colorScheme}`, options, async () => {
          const { page, faults } = await openPage(browser, { viewport: { width, height: 800 }, colorScheme, reducedMotion: "reduce" });
          await page.goto(`${sluice.url}/${hash}`);
          await page.getByText(shows).first().waitFor();
          assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false, "no sideways scrolling");
          const [paper, ink] = await page.evaluate(() =>
            [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color].map((c) => Number(/\d+/.exec(c)[0])),
          );
          assert.equal(paper < ink, colorScheme === "dark");
          assert.deepEqual(await findings(page), []);
          assert.deepEqual(faults, []);
          await page.close();
        });
      }
    }
  }
});
