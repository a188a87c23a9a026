// The example "approval": an application that is killed while it waits for a human.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { launch } from "./browser.js";
import { history, openExample, startExample, streams } from "./examples.js";
import { startSluice } from "./sluice.js";

const options = { timeout: 600_000 };

describe("example approval", { timeout: 1_800_000, concurrency: true }, () => {
  let browser, sluice, example;

  before(async () => {
    [browser, sluice] = await Promise.all([launch(), startSluice()]);
    example = await startExample("approval", sluice);
  });
  after(async () => {
    await browser?.close();
    assert.deepEqual(await example?.stop(), []);
    await sluice?.stop();
  });

  /** Begins a refund and waits for the question. */
  async function begin(page) {
    await page.getByRole("button", { name: "Ask for a refund" }).click();
    await page.locator("[data-asked='1']", { hasText: "asked once" }).waitFor();
    return `refund:${new URL(page.url()).searchParams.get("id")}`;
  }

  const click = (page, name) => page.getByRole("button", { name }).click();

  /** Waits for the application to be in a state, and returns the number of its process. */
  async function application(page, state) {
    const text = await page.locator(`small[data-state="${state}"]`, { hasText: "process" }).innerText();
    return Number(/\d+/.exec(text)[0]);
  }

  const did = (page) => page.locator(".log li span").allInnerTexts();
  const data = async (channel, topic) => (await history(sluice, channel, topic)).map((message) => message.data);

  test("an application that is killed finds the answer that came while it was dead", options, async () => {
    const { page, faults, strangers, leaks } = await openExample(browser, example, sluice);
    const channel = await begin(page);

    const first = await application(page, "running");
    process.kill(first, "SIGKILL");
    assert.equal(await application(page, "killed"), first);
    await page.reload();
    assert.equal(await application(page, "killed"), first);

    await page.getByRole("button", { name: "Approve" }).press("Enter");
    await page.getByText("Approved by ana@lamps.example. Sluice keeps the answer").waitFor();
    assert.deepEqual(await did(page), ["The customer wants 240 € back for a broken lamp."]);

    await click(page, "Start it again");
    const second = await application(page, "ended");
    assert.notEqual(second, first);
    assert.deepEqual(await did(page), ["The customer wants 240 € back for a broken lamp.", "Approved: 240 € are on their way."]);
    await page.getByText("run: completed").waitFor();
    assert.equal(await page.locator("[data-asked]").getAttribute("data-asked"), "1");

    assert.equal((await data(channel, "question")).length, 1);
    assert.deepEqual(await data(channel, "answer"), [{ approved: true }]);
    assert.equal((await data(channel, "log")).length, 2);
    assert.deepEqual(faults, []);
    assert.deepEqual(strangers(), []);
    assert.deepEqual(await leaks(), []);
    await page.close();
  });

  test("killed and started before the answer it asks once, and the answer reaches the process that waits", options, async () => {
    const { page, faults } = await openExample(browser, example, sluice);
    const channel = await begin(page);
    for (let kills = 0; kills < 2; kills++) {
      const before = await application(page, "running");
      await click(page, "Kill it");
      assert.equal(await application(page, "killed"), before);
      await click(page, "Start it again");
    }
    await application(page, "running");
    await click(page, "Decline");
    await application(page, "ended");
    assert.deepEqual((await did(page)).slice(1), ["Declined: the customer was told."]);
    assert.equal((await data(channel, "question")).length, 1);
    const run = (await history(sluice, channel, "$run")).at(-1).data;
    assert.deepEqual(run.result, { refunded: 0 });
    assert.deepEqual(faults, []);
    await page.close();
  });

  test("the first answer counts, and nobody can ask or answer something else", options, async () => {
    const { page, faults } = await openExample(browser, example, sluice);
    const channel = await begin(page);
    const { token } = await (await fetch(new URL(`/token?id=${channel.slice("refund:".length)}`, example.url), { method: "POST" })).json();
    const say = async (topic, body) => {
      const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json", "Idempotency-Key": "the-answer" };
      const response = await fetch(`${sluice.url}/v1/publish/${encodeURIComponent(channel)}/${topic}`, { method: "POST", body, headers });
      return [response.status, (await response.json()).duplicate];
    };
    assert.deepEqual(await say("question", '{"text":"Refund 10000 €?"}'), [403, undefined]);
    assert.deepEqual(await say("answer", '{"approved":"of course"}'), [422, undefined]);

    await click(page, "Approve");
    await application(page, "ended");
    assert.deepEqual(await say("answer", '{"approved":false}'), [200, true]);
    assert.deepEqual(await data(channel, "answer"), [{ approved: true }]);
    assert.deepEqual(faults, []);
    await page.close();
  });

  test("who answered is who the token is for, whatever the data claims", options, async () => {
    const { page, faults } = await openExample(browser, example, sluice);
    const channel = await begin(page);
    const token = await sluice.mint({ sub: "ben@lamps.example", publish: [{ channel, topics: ["answer"] }] });
    const response = await fetch(`${sluice.url}/v1/publish/${encodeURIComponent(channel)}/answer`, {
      method: "POST",
      headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
      body: JSON.stringify({ approved: false, sub: "ana@lamps.example" }),
    });
    assert.equal(response.status, 201);
    await page.getByText("Declined by ben@lamps.example.").waitFor();
    await application(page, "ended");
    await page.reload();
    await page.getByText("Declined by ben@lamps.example.").waitFor();
    assert.deepEqual(faults, []);
    await page.close();
  });

  test("when its server is ended, the application ends that waits for an answer", options, async () => {
    const other = await startExample("approval", sluice);
    const { id } = await (await fetch(new URL("/refunds", other.url), { method: "POST" })).json();
    while (!(await streams(sluice)).some(({ channels }) => channels.includes(`refund:${id}`))) await new Promise((resolve) => setTimeout(resolve, 50));
    assert.deepEqual(await other.terminate(), []);
    await sluice.deserted(`refund:${id}`);
  });
});
