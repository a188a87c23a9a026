// What the chats of examples/chat and examples/next have in common.

import assert from "node:assert/strict";
import { streams } from "./examples.js";

/** Who said what, as a page shows it. */
export const shown = (page) => page.locator(".messages li").evaluateAll((items) => items.map((item) => [item.dataset.role, item.textContent]));

/** Waits until a page shows just these messages. */
export async function shows(page, messages) {
  const said = (wanted) => JSON.stringify(Array.from(document.querySelectorAll(".messages li"), (item) => [item.dataset.role, item.textContent])) === wanted;
  await page.waitForFunction(said, JSON.stringify(messages)).catch(async () => assert.deepEqual(await shown(page), messages));
}

/** Sends a message, once the last answer is complete. */
export async function send(page, text) {
  await page.getByRole("button", { name: "Send" }).waitFor();
  await page.getByLabel("Message").fill(text);
  await page.getByLabel("Message").press("Enter");
}

/** Waits until pages have so many streams of a channel: not more, and not fewer. The server's own have no token. */
export async function streamsOf(sluice, channel, count) {
  const deadline = Date.now() + 120_000;
  for (;;) {
    const open = (await streams(sluice)).filter(({ channels, jti }) => jti && channels.includes(channel));
    if (open.length === count) return;
    if (Date.now() > deadline) assert.fail(`pages have ${open.length} streams of ${channel}, not ${count}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/**
 * An answer that the page is reloaded in, another page reads, and that is stopped there.
 *
 * @param {object} options
 * @param {() => Promise<{page: import("playwright-core").Page, faults: string[]}>} options.open opens a page of the chat
 */
export async function converse({ page, open, model, sluice, channel }) {
  const said = [["user", "How do otters sleep?"]];
  await send(page, "How do otters sleep?");
  const answer = await model.asked();
  assert.equal(answer.text, "How do otters sleep?");
  answer.write("On their ");
  await shows(page, [...said, ["assistant", "On their "]]);

  await page.reload();
  await shows(page, [...said, ["assistant", "On their "]]);
  answer.write("backs, ");
  const other = await open();
  for (const each of [page, other.page]) await shows(each, [...said, ["assistant", "On their backs, "]]);
  await streamsOf(sluice, channel, 2);
  answer.write("hand in hand.");
  answer.end();
  said.push(["assistant", "On their backs, hand in hand."]);
  for (const each of [page, other.page]) await shows(each, said);
  await page.getByRole("button", { name: "Send" }).waitFor();
  await page.reload();
  await shows(page, said);

  await send(page, "And what do they eat?");
  said.push(["user", "And what do they eat?"]);
  const second = await model.asked();
  assert.equal(second.messages, 3);
  second.write("Fish, ");
  for (const each of [page, other.page]) await shows(each, [...said, ["assistant", "Fish, "]]);
  await other.page.getByRole("button", { name: "Stop" }).click();
  await second.left;
  said.push(["assistant", "Fish, "]);
  for (const each of [page, other.page]) await each.getByRole("button", { name: "Send" }).waitFor();
  await other.page.reload();
  for (const each of [page, other.page]) await shows(each, said);
  await streamsOf(sluice, channel, 2);
  assert.deepEqual(other.faults, []);
  await other.page.close();
  await streamsOf(sluice, channel, 1);
}
