// Pages of other origins: who gets in is the server's choice, and the browser's job.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { closed, launch, listen, openPage, received, startSite } from "./browser.js";
import { signingKeys, startSluice } from "./sluice.js";

const CHANNEL = "user:7";
const options = { timeout: 600_000 };
const ANOTHER_HOST = "elsewhere.test";

describe("cross-origin", { timeout: 1_800_000 }, () => {
  let browser, site, sluice, developers;

  before(async () => {
    site = await startSite();
    const flags = ["--signing-keys", signingKeys(), "--cors-origins", site.url];
    [browser, sluice, developers] = await Promise.all([
      launch([`--host-resolver-rules=MAP ${ANOTHER_HOST} 127.0.0.1`]),
      startSluice({ dev: false, flags }),
      startSluice(),
    ]);
  });
  after(async () => {
    await browser?.close();
    site?.stop();
    await Promise.all([sluice?.stop(), developers?.stop()]);
  });

  const cases = [
    { name: "a listed origin is let in", origin: () => site.url, server: () => sluice, allowed: true },
    { name: "the same address by another name is not", origin: () => `http://localhost:${site.port}`, server: () => sluice, allowed: false },
    { name: "another host is not", origin: () => `http://${ANOTHER_HOST}:${site.port}`, server: () => sluice, allowed: false },
    { name: "development lets this machine in", origin: () => `http://localhost:${site.port}`, server: () => developers, allowed: true },
    { name: "development lets no other host in", origin: () => `http://${ANOTHER_HOST}:${site.port}`, server: () => developers, allowed: false },
  ];
  for (const { name, origin, server, allowed } of cases) {
    test(name, options, async () => {
      const { page, faults } = await openPage(browser);
      await page.goto(origin());
      const token = await server().mint({ channel: CHANNEL, topics: ["*"] });
      await listen(page, `${server().url}/v1/subscribe?access_token=${token}`, ["news"]);
      const posted = () => page.evaluate(post, [server().url, server().apiKey, CHANNEL]);
      if (allowed) {
        await received(page, "$open", 1);
        assert.equal(await posted(), 201);
        assert.deepEqual((await received(page, "news", 1))[0].data.data, { from: "a page" });
        assert.deepEqual(faults, []);
      } else {
        await closed(page);
        assert.deepEqual(await page.evaluate(() => window.events), []);
        assert.equal(await posted(), "refused");
        assert.ok(faults.length > 0 && faults.every((fault) => /CORS|ERR_FAILED/.test(fault)), faults.join("\n"));
      }
      await page.close();
    });
  }
});

/** Runs in the page: a request that needs a preflight. */
function post([base, key, channel]) {
  return fetch(`${base}/v1/publish/${encodeURIComponent(channel)}/news`, {
    method: "POST",
    headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json", "Idempotency-Key": "from-a-page" },
    body: '{"from":"a page"}',
  }).then((response) => response.status, () => "refused");
}
