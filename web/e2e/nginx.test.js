// EventSource behind nginx: events come at once, and a cut costs none.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { launch, listen, openPage, received, startSite } from "./browser.js";
import { startNginx } from "./nginx.js";
import { startProxy } from "./proxy.js";
import { startSluice } from "./sluice.js";

const CHANNEL = "pipeline:run_42";

describe("EventSource through nginx", { timeout: 1_800_000 }, () => {
  let browser, site, sluice, nginx, proxy;

  before(async () => {
    [browser, site, sluice] = await Promise.all([launch(), startSite(), startSluice()]);
    nginx = await startNginx(sluice.port);
    proxy = await startProxy(nginx.port);
  });
  after(async () => {
    await browser?.close();
    site?.stop();
    await proxy?.stop();
    await nginx?.stop();
    await sluice?.stop();
  });

  test("a stream comes at once, and goes on where it was after each cut", async () => {
    const { page } = await openPage(browser);
    await page.goto(site.url);
    const token = await sluice.mint({ channel: CHANNEL, topics: ["status"] });
    await listen(page, `${proxy.url}/v1/subscribe?access_token=${token}`, ["status"]);
    await received(page, "$open", 1); // before anything was published

    const publish = (n) => sluice.publish(CHANNEL, "status", { n });
    await publish(1);
    await received(page, "status", 1); // before anything else was published
    for (let n = 2; n <= 10; n++) {
      await publish(n);
      if (n % 3 === 0) proxy.cut();
    }
    const events = await received(page, "status", 10);
    assert.deepEqual(events.map((event) => event.data.data.n), Array.from({ length: 10 }, (_, i) => i + 1));
    const gaps = await page.evaluate(() => window.events.filter((event) => event.type === "$gap"));
    assert.deepEqual(gaps, []);
    assert.ok(proxy.subscriptions.length > 1, "it never had to come again");
    await page.close();
  });
});
