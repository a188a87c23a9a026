// The example "progress": a worker that crashes in the middle of its job.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { launch } from "./browser.js";
import { history, openExample, startExample } from "./examples.js";
import { startSluice } from "./sluice.js";

const options = { timeout: 600_000 };
const HALF = 300; // characters: the first attempt does not get as far
const STEPS = ["collect", "read", "draft", "check", "file"];

describe("example progress", { timeout: 1_800_000, concurrency: true }, () => {
  let browser, sluice, example;

  before(async () => {
    [browser, sluice] = await Promise.all([launch(), startSluice()]);
    example = await startExample("progress", sluice);
  });
  after(async () => {
    await browser?.close();
    assert.deepEqual(await example?.stop(), []);
    await sluice?.stop();
  });

  /** The steps as the page shows them: what was told of each. */
  const steps = (page) =>
    page.locator(".steps li").evaluateAll((items) => items.map((item) => [item.dataset.step, item.querySelectorAll("p").length, item.querySelector("small")?.textContent]));

  const workers = (page, event) => page.locator(`.log [data-event="${event}"]`).allInnerTexts();
  const is = (page, state) => page.locator(`dd[data-state="${state}"]`).waitFor();

  async function start(page) {
    const before = page.url();
    await page.getByRole("button", { name: /^Start/ }).click();
    await page.waitForURL((url) => url.href !== before);
    return `report:${new URL(page.url()).searchParams.get("run")}`;
  }

  test("a crash in the middle of a step: each step is told once, and a reload loses nothing", options, async () => {
    const { page, faults, strangers, leaks, answers } = await openExample(browser, example, sluice);
    const channel = await start(page);

    await page.locator('.log [data-event="crashed"]').waitFor();
    const draft = page.locator(".draft");
    const half = await draft.innerText();
    assert.ok(half.startsWith("The river stood") && half.length < HALF, half);
    assert.equal(await draft.getAttribute("data-state"), "open"); // another attempt may go on with it
    assert.deepEqual(await steps(page), [["collect", 1, "attempt 1"], ["read", 1, "attempt 1"], ["draft", 0, undefined], ["check", 0, undefined], ["file", 0, undefined]]);

    // The second attempt begins it anew and gets further. It does not wait for the page, which may come back when all is written.
    const beyond = (length) => page.waitForFunction((than) => document.querySelector(".draft")?.innerText.length > than, length);
    for (let reload = 0; reload < 3; reload++) {
      await beyond(HALF);
      const before = await draft.innerText();
      await page.reload();
      await beyond(HALF);
      const text = await draft.innerText();
      assert.ok(text.startsWith(before), `${before.length} characters became ${text.length}`);
    }
    assert.deepEqual((await steps(page)).slice(0, 2), [["collect", 1, "attempt 1"], ["read", 1, "attempt 1"]]);
    assert.equal((await workers(page, "crashed")).length, 1);

    await is(page, "completed");
    await is(page, "closed");
    await sluice.deserted(channel);
    for (const when of ["at the end", "after a reload"]) {
      assert.deepEqual(await steps(page), STEPS.map((name, i) => [name, 1, `attempt ${i < 2 ? 1 : 2}`]), when);
      assert.match((await workers(page, "crashed")).join(), /attempt 1 crashed: SIGKILL$/, when);
      assert.equal((await workers(page, "repeated")).length, 2, when);
      assert.equal(new Set((await workers(page, "started")).map((text) => /process \d+/.exec(text)[0])).size, 2, when);
      assert.match(await draft.innerText(), /^The river stood [^]* no reason to change it\.$/, when);
      assert.match(await page.locator(".facts").innerText(), /"attempts":2/, when);
      await page.reload();
      await page.locator('.steps [data-step="file"][data-state="done"]').waitFor();
    }

    const held = await history(sluice, channel, "step");
    assert.deepEqual(held.map(({ data }) => data.name), STEPS);
    const ends = (await history(sluice, channel, "draft")).filter(({ kind }) => kind === "datastream-end");
    assert.deepEqual(ends.map(({ data }) => data.reason), ["superseded", "complete"]);

    assert.deepEqual(faults, []);
    assert.deepEqual(strangers(), []);
    assert.ok((await answers()) > 10);
    assert.deepEqual(await leaks(), []);
    await page.close();
  });

  test("the button crashes it as well, and another run begins from nothing", options, async () => {
    const { page, faults } = await openExample(browser, example, sluice);
    const first = await start(page);
    await page.locator('.log [data-event="crashed"]').waitFor();
    const second = await start(page);
    assert.notEqual(first, second);
    await page.locator('.steps [data-step="read"][data-state="done"]').waitFor();
    await page.locator('.log li:has-text("attempt 2 started")').waitFor();
    await page.getByRole("button", { name: "Crash the worker" }).click();
    await page.locator('.log li:has-text("attempt 2 crashed")').waitFor();
    await is(page, "completed");
    await is(page, "closed");
    assert.deepEqual((await steps(page)).map(([name, times]) => [name, times]), STEPS.map((name) => [name, 1]));
    assert.match(await page.locator(".facts").innerText(), /"attempts":3/);
    assert.deepEqual((await history(sluice, second, "step")).map(({ data }) => data.name), STEPS);
    assert.deepEqual(faults, []);
    await page.close();
  });

  for (const [way, name] of [["stop", "Ctrl-C"], ["terminate", "SIGTERM"]]) {
    test(`it starts a server of its own, and ${name} ends everything in the middle of a run`, options, async () => {
      const own = await startExample("progress");
      const { origin } = new URL(own.url);
      await (await fetch(`${origin}/runs`, { method: "POST" })).json();
      const processes = own.processes();
      for (const part of [/--dev --listen/, /shared\/start\.ts/, /progress\/worker\.ts/]) assert.ok(processes.some((each) => part.test(each)), processes.join("\n"));
      assert.ok(!processes.some((each) => /api-key/i.test(each)));
      assert.deepEqual(await own[way](), []);
      await assert.rejects(fetch(origin));
    });
  }
});
