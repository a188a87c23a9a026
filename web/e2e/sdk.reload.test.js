// A page that shows a text with the hook of React, at its defaults, and is reloaded while the text is written.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { launch, openPage } from "./browser.js";
import { bundle } from "./bundle.js";
import { startSDKSite } from "./sdk.js";
import { startSluice } from "./sluice.js";
import { beginText } from "./writer.js";

const CHANNEL = "pipeline:run_42";
const PIECES = 5000;
const RELOADS = 10;

// window.shown is the text as the page shows it; window.faults, what no reader should see.
const APP = `
import { createElement, StrictMode, useEffect } from "react";
import { createRoot } from "react-dom/client";
import { channel, staticSchema, text } from "../dist/index.js";
import { useRealtime } from "../dist/react.js";

const pipeline = channel({
  name: ({ runId }) => "pipeline:" + runId,
  topics: { status: { schema: staticSchema() }, draft: text() },
});
window.faults = [];
window.shown = "";
function Draft() {
  const { messages, error, gaps } = useRealtime({ channel: pipeline({ runId: "run_42" }), token: () => fetch("/token") });
  const { draft } = messages.byTopic;
  const { text = "", state, partial } = draft ?? {};
  useEffect(() => {
    if (!text.startsWith(window.shown)) window.faults.push("not longer: " + text.slice(0, 40));
    if (partial) window.faults.push("partial");
    if (error) window.faults.push(error.message);
    window.faults.push(...gaps.map(({ reason }) => reason));
    window.shown = text;
  });
  return createElement("pre", { title: state }, text);
}
createRoot(document.getElementById("root")).render(createElement(StrictMode, null, createElement(Draft)));`;

describe("useRealtime at its defaults", { timeout: 1_800_000 }, () => {
  let browser, site, sluice;
  before(async () => {
    const app = await bundle(APP);
    const token = () => sluice.token({ channel: CHANNEL, topics: ["status", "draft"] });
    [browser, site, sluice] = await Promise.all([launch(), startSDKSite({ "/app.js": () => app, "/token": token }), startSluice()]);
  });
  after(async () => {
    await browser?.close();
    site?.stop();
    await sluice?.stop();
  });

  test("a page that is reloaded ten times while a text of 5,000 pieces is written shows all of it each time", { timeout: 600_000 }, async () => {
    await sluice.define(CHANNEL, { replay: { messages: 8 } }); // a text counts as one
    const { page, faults } = await openPage(browser);
    await page.goto(site.url);
    const text = beginText(sluice, CHANNEL, "draft");
    const write = async (from, to) => {
      for (let n = from; n < to; n++) {
        await text.write(`wörd${n} `);
        if (n % 10 === 0) await new Promise(setImmediate);
        if (n % 100 === 0) await sluice.publish(CHANNEL, "status", { n }); // more than the buffer may have of messages
      }
    };
    const shows = (length) => page.waitForFunction((wanted) => window.shown.length >= wanted || window.faults.length > 0, length, { polling: 20 });
    const check = async (when) => {
      const seen = await page.evaluate(() => ({ shown: window.shown, faults: window.faults }));
      assert.deepEqual(seen.faults, [], when);
      assert.ok(text.written().startsWith(seen.shown), `${when}: ${seen.shown.slice(0, 40)}`);
    };

    const share = PIECES / (RELOADS + 1);
    const upTo = (reload) => Math.round(share * (reload + 1));
    await write(0, upTo(0));
    for (let reload = 1; reload <= RELOADS; reload++) {
      await page.reload();
      const opened = page.evaluate(() => import("/app.js").then(() => undefined));
      await write(upTo(reload - 1), upTo(reload)); // while the page comes back
      await opened;
      await shows(text.written().length);
      await check(`after reload ${reload}`);
    }
    await text.end();
    await page.locator('pre[title="complete"]').waitFor();
    await check("at the end");
    assert.equal(await page.locator("pre").textContent(), text.written());
    assert.deepEqual(faults, []);

    await page.reload();
    await page.evaluate(() => import("/app.js").then(() => undefined));
    await page.locator('pre[title="complete"]').waitFor();
    assert.equal(await page.locator("pre").textContent(), text.written());
    await page.close();
  });
});
