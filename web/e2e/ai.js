// A chat with useChat in Chromium, as people would build it, whose network, pages and answers are disturbed.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { launch, openPage } from "./browser.js";
import { bundle } from "./bundle.js";
import { startProxy } from "./proxy.js";
import { uncaught } from "./sdk.js";
import { startSluice } from "./sluice.js";

const PATIENCE_MS = 120_000;
const STEPS = 5;

/** How long an answer is, and how often it is disturbed. SLUICE_LONG=1 asks for more. */
const SIZE = process.env.SLUICE_LONG
  ? { parts: 3000, cuts: 50, reloads: 20, tabs: 20, stops: 20 }
  : { parts: 300, cuts: 8, reloads: 3, tabs: 3, stops: 3 };

/** What a reload takes besides the answer: the heads of responses, and the events with which a stream and an answer begin. */
const OVERHEAD_BYTES = 2000;

/** The page: ?id= is the chat, and ?sluice= where it reads. window.chat is what it shows. */
const appOf = (react) => `
import { createElement as h, StrictMode, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { useChat } from "${react}";
import { channel } from "../dist/index.js";
import { answerTopics, SluiceChatTransport } from "../dist/ai.js";

const query = new URLSearchParams(location.search);
const chats = channel({ name: ({ id }) => "chat:" + id, topics: answerTopics });
const id = query.get("id");
const history = await (await fetch("/history?id=" + id)).json();

function Chat() {
  const [transport] = useState(() => new SluiceChatTransport({
    url: query.get("sluice"),
    channel: (id) => chats({ id }),
    token: () => fetch("/token?id=" + id),
    isShown: (answer) => history.some((message) => message.id === answer),
    reconnectMinMs: 10,
    reconnectMaxMs: 100,
  }));
  const { messages, status, error, sendMessage, resumeStream } = useChat({ id, messages: history, transport });
  useEffect(() => transport.follow(id, resumeStream), [transport, resumeStream]);
  useEffect(() => {
    window.chat = { messages, status, error: error?.message };
  });
  window.send = (plan) => void sendMessage({ text: "How is the weather?" }, { body: { plan } });
  window.stopAnswer = () => transport.stop(id);
  return h("main", { title: status }, messages.map(({ id, parts }) => h("p", { key: id }, parts.map(({ text }) => text))));
}
createRoot(document.getElementById("root")).render(h(StrictMode, null, h(Chat)));`;

/** Starts the site with a version of Node.js. */
async function startSite(node, version, sluice, app) {
  const file = fileURLToPath(new URL("chatsite.js", import.meta.url));
  const child = spawn(node, [file, version, sluice.url, sluice.apiKey], { stdio: ["pipe", "pipe", "inherit"] });
  process.once("exit", () => child.kill("SIGKILL"));
  child.stdin.end(app);
  const url = await new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).once("line", resolve);
    child.once("error", reject).once("exit", (code, signal) => reject(new Error(`the site ended with ${code ?? signal}`)));
  });
  return {
    url,
    async call(path, id) {
      const response = await fetch(`${url}${path}?id=${id}`, { signal: AbortSignal.timeout(PATIENCE_MS) });
      if (!response.ok) throw new Error(`${path}: ${await response.text()}`);
      return response.json();
    },
    async stop() {
      child.kill("SIGKILL");
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    },
  };
}

/** A message as JSON has it, but its id, which differs from run to run. */
const plain = (message) => ({ ...JSON.parse(JSON.stringify(message)), id: "" });

/** Returns numbers of parts in the middle of an answer that look random, and are different. */
function places(count, seed) {
  let state = seed;
  const chosen = new Set();
  while (chosen.size < count) chosen.add(1 + ((state = (state * 48271) % 0x7fffffff) % Math.floor(SIZE.parts * 0.9)));
  return [...chosen];
}

/** Returns what is to happen to an answer, in its order. */
function disturbances(seed) {
  const { cuts, reloads, tabs } = SIZE;
  const kinds = [...Array(cuts).fill("cut"), ...Array(reloads).fill("reload"), ...Array(tabs).fill("tab")];
  return places(kinds.length, seed)
    .map((at, i) => ({ at, kind: kinds[i] }))
    .sort((a, b) => a.at - b.at);
}

/**
 * Tests a version of the AI SDK.
 *
 * @param {string} version "ai" or "ai7"
 * @param {string} react the package with its useChat
 * @param {object} [options]
 * @param {string} [options.node] the Node.js that the site runs on
 * @param {string} [options.skip] why the tests cannot run
 */
export function testChat(version, react, { node = process.execPath, skip } = {}) {
  describe(`useChat of ${version}`, { timeout: 3_600_000, skip }, () => {
    let browser, site, sluice;
    const networks = [];
    before(async () => {
      const [app, ...started] = await Promise.all([bundle(appOf(react)), launch(), startSluice()]);
      [browser, sluice] = started;
      site = await startSite(node, version, sluice, app);
    });
    after(async () => {
      await browser?.close();
      await Promise.all([site?.stop(), ...networks.map((network) => network.stop())]);
      await sluice?.stop();
    });

    /** Opens a page that shows a chat, behind a network of its own. */
    async function open(id) {
      const [{ page, faults }, network] = await Promise.all([openPage(browser), startProxy(sluice.port)]);
      networks.push(network);
      const tab = { page, faults, network };
      await visit(tab, id);
      return tab;
    }

    async function visit({ page, network }, id) {
      await page.goto(`${site.url}/?${new URLSearchParams({ id, sluice: network.url })}`);
      await page.waitForFunction(() => window.chat);
    }

    const send = ({ page }, gates) => page.evaluate((plan) => window.send(plan), { parts: SIZE.parts, steps: STEPS, gates });
    const lastOf = ({ page }) => page.evaluate(() => window.chat.messages.at(-1));

    /** Waits until a page shows this as the last message. */
    async function shows({ page }, message, status) {
      const wanted = [JSON.stringify(message), status];
      const check = ([json, status]) => window.chat?.status === status && JSON.stringify(window.chat.messages.at(-1)) === json;
      await page.waitForFunction(check, wanted, { polling: 20, timeout: PATIENCE_MS }).catch(async (cause) => {
        const seen = JSON.stringify(await page.evaluate(() => window.chat));
        throw new Error(`A page does not show\n${wanted.join(" ")}\nbut\n${seen}`, { cause });
      });
    }

    /** Waits until the answer on a page has ended, and returns the messages. */
    async function ended({ page }) {
      await page.waitForFunction(() => window.chat?.status === "ready" && window.chat.messages.at(-1)?.role === "assistant", undefined, {
        polling: 20,
        timeout: PATIENCE_MS,
      });
      return page.evaluate(() => window.chat.messages);
    }

    /** How often a page has resumed a stream. */
    const resumed = ({ network }) => network.subscriptions.filter(({ headers }) => headers["last-event-id"]).length;

    test("cuts, reloads and second tabs do not change the answer", async (t) => {
      const alone = await open("undisturbed");
      await send(alone, []);
      const [, expected] = await ended(alone);
      await alone.page.close();
      assert.equal(expected.parts.filter(({ type }) => type === "tool-weather").length, STEPS - 1);

      const id = "disturbed";
      const plan = disturbances(11);
      const tabs = [await open(id)]; // the one that asks, and those that come later
      const done = { cut: 0, reload: 0, tab: 0 };
      const bytes = []; // of each reload, and what its message had
      let check = () => undefined;

      const happen = {
        /** Breaks the connections. Every other time, new ones break, too, while the answer goes on. */
        cut() {
          const before = tabs.map(resumed);
          for (const { network } of tabs) done.cut % 2 ? network.block() : network.cut();
          check = () => {
            for (const [i, count] of before.entries()) assert.ok(resumed(tabs[i]) > count, `a cut did not reach page ${i}`);
          };
        },
        async reload(soFar) {
          const [{ page, network }] = tabs;
          const before = network.received;
          await page.reload();
          await shows(tabs[0], soFar, "streaming");
          const [took, size] = [network.received - before, Buffer.byteLength(JSON.stringify(soFar))];
          assert.ok(took <= 1.2 * size + OVERHEAD_BYTES, `a reload took ${took} bytes for a message of ${size}`);
          bytes.push(`${took} for ${size}`);
        },
        async tab(soFar) {
          const tab = await open(id);
          await shows(tab, soFar, "streaming");
          tabs.push(tab);
        },
      };

      await send(
        tabs[0],
        plan.map(({ at }) => at),
      );
      for (const { kind } of plan) {
        const soFar = await site.call("/gate", id);
        for (const { network } of tabs) network.unblock();
        await Promise.all(tabs.map((tab) => shows(tab, soFar, "streaming")));
        check();
        check = () => undefined;
        await happen[kind](soFar);
        done[kind]++;
        await site.call("/go", id);
      }
      for (const { network } of tabs) network.unblock();
      const { cuts, reloads, tabs: seconds } = SIZE;
      assert.deepEqual(done, { cut: cuts, reload: reloads, tab: seconds });

      for (const tab of tabs) {
        const messages = await ended(tab);
        assert.deepEqual(
          messages.map(({ role }) => role),
          ["user", "assistant"],
        );
        assert.deepEqual(plain(messages[1]), plain(expected));
        assert.deepEqual(uncaught(tab.faults), []);
      }
      check();
      const [{ page }] = tabs;
      const { id: answer } = await lastOf(tabs[0]);
      await page.reload(); // now it is in the history
      const again = await ended(tabs[0]);
      assert.equal(again.length, 2);
      assert.deepEqual(plain(again[1]), plain(expected));
      assert.equal(again[1].id, answer);
      t.diagnostic(`${version}: ${JSON.stringify(done)} in an answer of ${SIZE.parts} parts; bytes of reloads: ${bytes.join(", ")}`);
      await Promise.all(tabs.map((tab) => tab.page.close()));
    });

    test("a stop ends the answer on every page with what there is", async (t) => {
      const tabs = await Promise.all([open("none"), open("none")]);
      let stopped = 0;
      for (const [round, at] of places(SIZE.stops, 13).entries()) {
        const id = `stop-${round}`;
        await Promise.all(tabs.map((tab) => visit(tab, id)));
        await send(tabs[0], [at]);
        const soFar = await site.call("/gate", id);
        await Promise.all(tabs.map((tab) => shows(tab, soFar, "streaming")));
        const before = await site.call("/state", id);
        await tabs[round % 2].page.evaluate(() => window.stopAnswer());
        await Promise.all(tabs.map((tab) => shows(tab, soFar, "ready")));
        assert.deepEqual(await site.call("/state", id), { ...before, stopped: true });
        stopped++;
        assert.deepEqual(plain((await site.call("/history", id)).at(-1)), plain(soFar));
      }
      assert.equal(stopped, SIZE.stops);
      for (const { faults } of tabs) assert.deepEqual(uncaught(faults), []);
      t.diagnostic(`${version}: ${stopped} stops in answers of ${SIZE.parts} parts`);
      await Promise.all(tabs.map(({ page }) => page.close()));
    });
  });
}
