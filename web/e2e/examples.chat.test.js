// The example "chat": answers that go on whatever becomes of the page, with a model and with the script.

import assert from "node:assert/strict";
import { readFileSync, utimesSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { launch } from "./browser.js";
import { converse, send, shown, shows, streamsOf } from "./chats.js";
import { openExample, startExample } from "./examples.js";
import { startModel } from "./model.js";
import { startSluice } from "./sluice.js";

const options = { timeout: 600_000 };
const PAGE = fileURLToPath(new URL("../../examples/chat/page.tsx", import.meta.url));

describe("example chat", { timeout: 1_800_000 }, () => {
  let browser, sluice, model;

  before(async () => {
    [browser, sluice, model] = await Promise.all([launch(), startSluice(), startModel()]);
  });
  after(async () => {
    await browser?.close();
    model?.stop();
    await sluice?.stop();
  });

  /** Starts the example for a test. */
  async function start(t, settings) {
    const example = await startExample("chat", sluice, settings);
    t.after(async () => assert.deepEqual(await example.stop(), []));
    return example;
  }

  const channelOf = (page) => `chat:${new URL(page.url()).searchParams.get("chat")}`;

  test("an answer survives a reload, shows in a second tab, and is stopped there", options, async (t) => {
    const example = await start(t, model.settings);
    const { page, faults, strangers, leaks } = await openExample(browser, example, sluice);
    await page.getByRole("button", { name: "Send" }).waitFor();
    const open = () => openExample(browser, { url: page.url() }, sluice);
    await converse({ page, open, model, sluice, channel: channelOf(page) });

    // Vite reloads the page, since its file seems to have changed.
    await send(page, "Do they play?");
    const said = [...(await shown(page)).slice(0, 4), ["user", "Do they play?"]];
    const answer = await model.asked();
    answer.write("All ");
    await shows(page, [...said, ["assistant", "All "]]);
    await page.evaluate(() => (window.isOld = true));
    utimesSync(PAGE, new Date(), new Date());
    await page.waitForFunction(() => !window.isOld);
    await shows(page, [...said, ["assistant", "All "]]);
    answer.write("day.");
    answer.end();
    await shows(page, [...said, ["assistant", "All day."]]);
    await streamsOf(sluice, channelOf(page), 1);

    assert.deepEqual(faults, []);
    assert.deepEqual(strangers(), []);
    assert.deepEqual(await leaks(), []);
    await page.close();
  });

  test("without a key, the answer is scripted", options, async (t) => {
    const example = await start(t, { OPENAI_API_KEY: "" });
    const { page, faults } = await openExample(browser, example, sluice);
    await send(page, "Who are you?");
    await page.waitForFunction(() => document.querySelector(".messages")?.textContent.includes("This text is scripted"));
    await page.reload();
    await page.getByText("when the text is complete.").waitFor();
    assert.deepEqual((await shown(page)).map(([role]) => role), ["user", "assistant"]);
    assert.deepEqual(faults, []);
    await page.close();
  });

  test("its model is the one of examples/next", () => {
    const [own, next] = ["chat", "next/lib"].map((folder) => readFileSync(new URL(`../../examples/${folder}/model.ts`, import.meta.url), "utf8"));
    assert.equal(own, next);
  });
});
