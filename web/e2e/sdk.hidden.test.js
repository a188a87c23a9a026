// A tab that nobody looks at, with the hook of React in it.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { launch } from "./browser.js";
import { bundle } from "./bundle.js";
import { startProxy } from "./proxy.js";
import { startSDKSite, untilStreams, upTo } from "./sdk.js";
import { startSluice } from "./sluice.js";
import { openTab } from "./tab.js";

const CHANNEL = "user:7";
const TOPIC = "news";

const APP = `
import { createElement, StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { useRealtime } from "../dist/react.js";

window.gaps = [];
function Feed(options) {
  const { messages, connectionStatus, pauseReason } = useRealtime({ ...options, historyLimit: null, onGap: (gap) => window.gaps.push(gap) });
  const rows = messages.all.map(({ id, data }) => createElement("li", { key: id }, data.n));
  return createElement("section", { title: connectionStatus + " " + pauseReason }, createElement("ol", null, rows));
}
export function show(options) {
  createRoot(document.getElementById("root")).render(createElement(StrictMode, null, createElement(Feed, options)));
}`;

describe("a hidden tab", { timeout: 1_800_000 }, () => {
  let browser, site, sluice, proxy;
  before(async () => {
    const app = await bundle(APP);
    [browser, site, sluice] = await Promise.all([launch(), startSDKSite({ "/app.js": () => app }), startSluice()]);
    proxy = await startProxy(sluice.port);
  });
  after(async () => {
    await browser?.close();
    site?.stop();
    await proxy?.stop();
    await sluice?.stop();
  });

  test("has no connection, and is given what came meanwhile when it is shown again", { timeout: 600_000 }, async (t) => {
    const tab = await openTab(browser, site.url);
    t.after(() => tab.close());
    const token = await sluice.mint({ channel: CHANNEL, topics: [TOPIC] });
    const settings = JSON.stringify({ url: proxy.url, channel: CHANNEL, token });
    await tab.evaluate(`import("/app.js").then(({ show }) => show(${settings}))`);
    const standing = () => tab.evaluate(`document.visibilityState + " " + document.querySelector("section")?.title`);
    const numbers = () => tab.evaluate(`Array.from(document.querySelectorAll("li"), ({ innerText }) => Number(innerText))`);
    const publish = async (from, to) => {
      for (let n = from; n <= to; n++) await sluice.publish(CHANNEL, TOPIC, { n });
    };
    await until(standing, "visible open null");
    for (let round = 0; round < 3; round++) {
      const first = round * 40 + 1;
      await publish(first, first + 19);
      await until(numbers, upTo(first + 19));

      const inFront = await openTab(browser, site.url, tab.context);
      await until(standing, "hidden paused hidden");
      await untilStreams(sluice, []);
      const asked = proxy.subscriptions.length;
      await publish(first + 20, first + 39);
      assert.deepEqual(await sluice.subscribers(), []);
      assert.equal(proxy.subscriptions.length, asked, "none was open meanwhile");
      assert.deepEqual(await numbers(), upTo(first + 19));

      await tab.bringToFront();
      await until(standing, "visible open null");
      await until(numbers, upTo(first + 39));
      assert.equal((await sluice.subscribers()).length, 1);
      await inFront.close();
    }
    assert.deepEqual(await tab.evaluate("window.gaps"), []);
  });
});

/** Waits until what is looked at is as it should be. */
async function until(look, wanted) {
  const deadline = Date.now() + 120_000;
  for (;;) {
    const seen = await look();
    if (JSON.stringify(seen) === JSON.stringify(wanted)) return;
    if (Date.now() > deadline) assert.deepEqual(seen, wanted);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
