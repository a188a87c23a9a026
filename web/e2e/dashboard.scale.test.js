// The dashboard of a busy server: 100,000 channels, and 5,000 publishes a second.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { launch, openPage } from "./browser.js";
import { startSluice } from "./sluice.js";

const CHANNELS = 100_000;
const PER_SECOND = 5000;
const HEAP_LIMIT = 60 * 1024 * 1024;
const options = { timeout: 600_000 };

/** The processor time that a process has taken, in seconds. */
function cpuOf(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /s, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Publishes at a steady rate, in arrays, until it is stopped. A slow machine gets as much as it takes. */
function publishSteadily(sluice) {
  let stopped = false;
  let published = 0;
  const began = Date.now();
  const done = (async () => {
    for (let n = 0; !stopped; ) {
      const due = Math.floor(((Date.now() - began) / 1000) * PER_SECOND) - n;
      if (due < 250) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        continue;
      }
      const count = Math.min(due, 500);
      await sluice.publishAll(
        Array.from({ length: count }, (_, i) => ({ channel: nameOf(((n + i) * 7919) % CHANNELS), topic: "status", data: { n: n + i } })),
      );
      n += due; // what could not be sent in time is not made up for
      published += count;
    }
  })();
  return {
    rate: () => published / ((Date.now() - began) / 1000),
    async stop() {
      stopped = true;
      await done;
    },
  };
}

const nameOf = (n) => `pipeline:run_${String(n).padStart(6, "0")}`;

describe("the dashboard of a busy server", { timeout: 1_200_000 }, () => {
  let browser, sluice, load;

  before(async () => {
    browser = await launch(["--enable-precise-memory-info"]);
    sluice = await startSluice({ flags: ["--memory", "512MiB", "--log-level", "error"] });
    for (let n = 0; n < CHANNELS; n += 1000) {
      await sluice.publishAll(Array.from({ length: 1000 }, (_, i) => ({ channel: nameOf(n + i), topic: "status", data: { n: n + i } })));
    }
    load = publishSteadily(sluice);
  });
  after(async () => {
    await load?.stop();
    await browser?.close();
    await sluice?.stop();
  });

  test("it stays quick, small and cheap", options, async (t) => {
    const seconds = 8;
    const wait = () => new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    const measure = async () => {
      const before = cpuOf(sluice.pid);
      await wait();
      return (cpuOf(sluice.pid) - before) / seconds;
    };
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const without = await measure();

    const { page, faults } = await openPage(browser, { viewport: { width: 1440, height: 900 } });
    await page.goto(`${sluice.url}/#/overview`);
    await page.getByText("100,000 channels in memory").waitFor();
    const overview = await measure();
    await page.getByRole("link", { name: "Channels", exact: true }).click();
    await page.getByRole("link", { name: nameOf(0) }).waitFor();
    const channels = await measure();

    // What is typed is there, and finds what it should, while the list goes on.
    const search = page.getByLabel("Channels that begin with");
    await search.click();
    const typed = "pipeline:run_09876";
    await page.keyboard.type(typed, { delay: 30 });
    assert.equal(await search.inputValue(), typed);
    await page.getByRole("link", { name: nameOf(98_765) }).waitFor();
    await search.fill("");
    await page.getByRole("link", { name: nameOf(0) }).waitFor();

    // Far down, by the wheel: only some rows are drawn, and only some pages kept.
    await page.locator(".channel-rows").hover();
    for (let i = 0; i < 40; i++) {
      await page.mouse.wheel(0, 20_000);
      await page.waitForFunction(() => !document.querySelector(".channel-waiting"));
    }
    const rows = await page.locator(".channel-drawn .channel-row").count();
    assert.ok(rows < 80, `${rows} rows are drawn`);

    // The page answers: no task keeps it for long, as a person would feel.
    const slowest = await page.evaluate(async () => {
      let worst = 0;
      for (let i = 0, last = performance.now(); i < 60; i++) {
        await new Promise(requestAnimationFrame);
        const now = performance.now();
        worst = Math.max(worst, now - last);
        last = now;
      }
      return worst;
    });

    const devtools = await page.context().newCDPSession(page);
    await devtools.send("HeapProfiler.collectGarbage");
    const { usedSize } = await devtools.send("Runtime.getHeapUsage");
    assert.ok(usedSize < HEAP_LIMIT, `the heap has ${usedSize} bytes`);
    assert.deepEqual(faults, []);
    await page.close();

    const figures = {
      publishes: Math.round(load.rate()),
      without: without.toFixed(3),
      overview: (overview / without).toFixed(2),
      channels: (channels / without).toFixed(2),
      slowest: Math.round(slowest),
      heap: (usedSize / 1024 ** 2).toFixed(1),
    };
    t.diagnostic(
      `${figures.publishes} publishes a second; without a dashboard the server took ${figures.without} processors; ` +
        `with the overview ${figures.overview} times as much, with the channels ${figures.channels} times as much; ` +
        `the longest frame of 60 took ${figures.slowest} ms; the heap has ${figures.heap} MiB`,
    );
  });
});
