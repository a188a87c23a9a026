// The page in the README, as it stands there.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { launch, openPage } from "./browser.js";
import { startSluice } from "./sluice.js";

const CHANNEL = "pipeline:run_42";

describe("the README", { timeout: 1_800_000 }, () => {
  let browser, backend, sluice;

  before(async () => {
    [browser, sluice] = await Promise.all([launch(), startSluice()]);
    backend = createServer(answer).listen(0, "127.0.0.1");
    await once(backend, "listening");
  });
  after(async () => {
    await browser?.close();
    backend?.close();
    await sluice?.stop();
  });

  /** Serves the page, and tokens as the application's own server does. */
  async function answer(request, response) {
    if (request.url !== "/my-backend/token") return response.setHeader("Content-Type", "text/html").end(page());
    const minted = await fetch(`${sluice.url}/v1/tokens`, {
      method: "POST",
      headers: { Authorization: `Bearer ${sluice.apiKey}`, "Content-Type": "application/json" },
      body: JSON.stringify({ channel: CHANNEL, topics: ["status"] }),
    });
    response.setHeader("Content-Type", "application/json").end(await minted.text());
  }

  test("its page shows the latest message and those that follow", async () => {
    await sluice.publish(CHANNEL, "status", { message: "Hello" });
    const { page: tab, faults } = await openPage(browser);
    await tab.goto(`http://127.0.0.1:${backend.address().port}/`);
    await tab.getByText("Hello").waitFor();
    await sluice.publish(CHANNEL, "status", { message: "Done" });
    await tab.getByText("Done").waitFor();
    assert.deepEqual(faults, []);
    await tab.close();
  });
});

/** Returns the one block of HTML in the README. */
function page() {
  const blocks = [...readFileSync(new URL("../../README.md", import.meta.url), "utf8").matchAll(/^```html\n(.*?)^```$/gms)];
  assert.equal(blocks.length, 1);
  return `<!doctype html><link rel="icon" href="data:,"><body>${blocks[0][1]}</body>`;
}
