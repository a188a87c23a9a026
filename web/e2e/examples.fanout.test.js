// The example "fanout": many channels over one connection.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { launch } from "./browser.js";
import { history, openExample, startExample, streams } from "./examples.js";
import { startSluice } from "./sluice.js";

const options = { timeout: 600_000 };
const TITLES = ["The harbour", "The new bridge", "Market day", "Weather", "Trains", "The river"];

describe("example fanout", { timeout: 1_800_000 }, () => {
  let browser, sluice, example;

  before(async () => {
    [browser, sluice] = await Promise.all([launch(), startSluice()]);
    example = await startExample("fanout", sluice);
  });
  after(async () => {
    await browser?.close();
    assert.deepEqual(await example?.stop(), []);
    await sluice?.stop();
  });

  const follow = (page, title) => page.getByRole("button", { name: `Follow ${title}` }).click();
  const latest = async (page, id) => Number(/\d+$/.exec(await page.locator(`[data-post=${id}] .latest`).innerText())?.[0] ?? 0);

  /** Waits until a post shows an update of that number or a later one. */
  async function reaches(page, id, number) {
    await page.waitForFunction(
      ([post, least]) => Number(/\d+$/.exec(document.querySelector(`[data-post=${post}] .latest`).textContent)?.[0]) >= least,
      [id, number],
    );
  }

  /** Waits until one stream carries so many channels, and none is left beside it. */
  async function settled(count) {
    const deadline = Date.now() + 120_000;
    for (;;) {
      const open = await streams(sluice);
      if (open.length === 1 && open[0].channels.length === count) return open[0].channels.sort();
      if (Date.now() > deadline) assert.fail(`${count} channels are not on one connection: ${JSON.stringify(open)}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  test("subscriptions that come and go share a connection, and nothing is lost", options, async () => {
    const { page, faults, addresses, strangers, leaks } = await openExample(browser, example, sluice);
    const subscribes = () => addresses.filter((address) => address.startsWith(`${sluice.url}/v1/subscribe?`));
    assert.deepEqual(await settled(3), ["global:log", "post:bridge", "post:harbour"]);

    // All seven at once are more than the six connections that HTTP/1.1 has.
    for (const title of TITLES.slice(2)) await follow(page, title);
    assert.equal((await settled(7)).length, 7);
    await page.locator("#connections", { hasText: /^1$/ }).waitFor();
    assert.equal(await page.locator("#subscriptions").innerText(), "7");
    const asked = subscribes().length;
    await reaches(page, "river", (await latest(page, "river")) + 2);
    assert.equal(subscribes().length, asked, "a connection that has settled stays");

    // What is published between unfollowing and following again comes afterwards.
    await follow(page, "The harbour");
    await settled(6);
    const stopped = await latest(page, "harbour");
    await reaches(page, "bridge", stopped + 4);
    assert.equal(await latest(page, "harbour"), stopped);
    await follow(page, "The harbour");
    await reaches(page, "harbour", stopped + 5);
    await settled(7);
    const now = await latest(page, "harbour");
    await reaches(page, "harbour", now + 2);

    for (const tally of await page.locator(".tally").allInnerTexts()) assert.match(tally, /^\d+ received, none missing$/);
    assert.ok(subscribes().every((address) => !address.includes("access_token")));
    assert.ok((await page.locator("#log li").allInnerTexts()).length === 10);
    assert.deepEqual(faults, []);
    assert.deepEqual(strangers(), []);
    assert.deepEqual(await leaks(), []);
    await page.close();
    await sluice.deserted("post:harbour");
  });

  test("a comment that breaks the schema is refused by the server, and a good one comes to its post", options, async () => {
    const { page, faults } = await openExample(browser, example, sluice);
    const refused = page.waitForResponse((response) => response.url().startsWith(`${sluice.url}/v1/publish`) && response.request().method() === "POST");
    await page.getByLabel("Comment", { exact: true }).fill("Nobody has said this");
    await page.getByRole("button", { name: "Publish" }).press("Enter");
    assert.equal((await refused).status(), 422);
    await page.locator("#outcome", { hasText: "422 schema-violation" }).waitFor();
    assert.match(await page.locator("#outcome").innerText(), /^422 schema-violation\n\/author: /);
    assert.deepEqual(await history(sluice, "post:harbour", "comment"), []);
    assert.equal(faults.splice(0).filter((fault) => !/422/.test(fault)).length, 0);

    await page.getByLabel("Your name").fill("A reader");
    await page.getByRole("button", { name: "Publish" }).press("Enter");
    await page.locator("[data-post=harbour] .comments li").waitFor();
    assert.deepEqual(await page.locator(".comments li").allInnerTexts(), ["A reader: Nobody has said this"]);
    assert.match(await page.locator("#outcome").innerText(), /^Published as /);
    assert.deepEqual(faults, []);
    await page.close();
  });

  test("a token lets a page read posts and comment on them, and no more", options, async () => {
    const response = await fetch(new URL("/token?reader=somebody", example.url), { method: "POST" });
    const { token } = await response.json();
    const as = (method, path, body) =>
      fetch(sluice.url + path, { method, body, headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" } }).then(async (answer) => (await answer.text(), answer.status));
    assert.equal(await as("POST", "/v1/publish/post%3Ariver/update", '{"number":1,"text":"mine"}'), 403);
    assert.equal(await as("POST", "/v1/publish/global%3Alog/line", '{"text":"mine"}'), 403);
    assert.equal(await as("POST", "/v1/publish/post%3Ariver/comment", '{"author":"I","text":"mine"}'), 201);
    assert.equal(await as("GET", "/v1/subscribe?channel=other"), 403);
    assert.equal(await as("GET", "/v1/subscribers"), 403);
  });
});
