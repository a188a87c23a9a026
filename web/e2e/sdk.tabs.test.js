// Tabs of one browser that share a connection, over HTTP/1.1, where a browser has six to a server.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { launch } from "./browser.js";
import { startProxy } from "./proxy.js";
import { startPublisher } from "./publisher.js";
import { accountOf, begin, opened, openSDK, sorted, startSDKSite, uncaught, untilNumber, untilStreams, upTo } from "./sdk.js";
import { startSluice } from "./sluice.js";

const CHANNEL = "user:7";
const TOPIC = "news";
const TABS = 6;
const MODULES = ["/dist/index.js", "/dist/tabs.js"];
const options = { timeout: 600_000 };

describe("six tabs", { timeout: 1_800_000, concurrency: true }, () => {
  let browser, site;
  before(async () => {
    [browser, site] = await Promise.all([launch(), startSDKSite()]);
  });
  after(async () => {
    await browser?.close();
    site?.stop();
  });

  test("without sharing hold six connections, and can do nothing else", options, async (t) => {
    const { sluice, tabs } = await openTabs(t, {});
    await untilStreams(sluice, Array(TABS).fill([CHANNEL]));
    await assert.rejects(ask(tabs[0].page, sluice, 1000), /TimeoutError/);
  });

  test("share one connection, whose next leader goes on when the last one is closed or crashes", options, async (t) => {
    const { sluice, tabs } = await openTabs(t, { tabs: CHANNEL });
    await untilStreams(sluice, [[CHANNEL]]);
    const message = (n) => ({ channel: CHANNEL, topic: TOPIC, data: { n } });
    const publisher = startPublisher(sluice, { perSecond: 100, message });
    let living = tabs;
    for (const end of [close, crash]) {
      await publisher.received(publisher.receipts.length + 150);
      assert.deepEqual(
        await Promise.all(living.map(({ page }) => ask(page, sluice, 60_000))),
        living.map(() => "alive"),
      );
      const [leader, ...others] = living.filter(leads);
      assert.deepEqual(others, [], "one alone leads");
      await end(leader);
      living = living.filter((tab) => tab !== leader);
      await untilOneLeads(living);
      await publisher.received(publisher.receipts.length + 50);
    }
    const count = await publisher.stop();
    assert.equal(living.length, TABS - 2);
    for (const { page, faults } of living) {
      await untilNumber(page, count);
      const account = await accountOf(page);
      const { messages, gaps } = sorted(account);
      assert.deepEqual(
        messages.map(({ data }) => data.n),
        upTo(count),
      );
      assert.deepEqual(gaps, []);
      assert.ok(account.statuses.every(({ status }) => ["connecting", "open"].includes(status)));
      assert.deepEqual(uncaught(faults), []);
    }
    await untilStreams(sluice, [[CHANNEL]]);
    t.diagnostic(`${count} messages in each of ${living.length} tabs, led by three one after the other`);
  });

  test("the next leader asks for few streams, however much the tabs read", options, async (t) => {
    const { sluice, tabs } = await openTabs(t, { tabs: CHANNEL });
    const proxy = await startProxy(sluice.port);
    t.after(() => proxy.stop());
    const token = await sluice.mint({ channel: "run:*", topics: [TOPIC] });
    const channels = upTo(TABS * 5).map((n) => `run:${n}`);
    for (const [i, channel] of channels.entries()) {
      await begin(tabs[i % TABS].page, { url: proxy.url, channel, token, tabs: "runs" }, channel);
    }
    await Promise.all(channels.map((channel, i) => opened(tabs[i % TABS].page, channel)));
    await untilStreams(sluice, [[CHANNEL], channels]);
    const message = (n) => ({ channel: channels[n % channels.length], topic: TOPIC, data: { n } });
    const publisher = startPublisher(sluice, { perSecond: 200, message });
    await publisher.received(100); // now each of them is at another position
    const before = proxy.subscriptions.length;
    await tabs[0].page.close();
    await publisher.received(publisher.receipts.length + 100);
    assert.equal(await ask(tabs[1].page, sluice, 60_000), "alive");
    const count = await publisher.stop();
    for (const [i, channel] of channels.entries()) {
      if (i % TABS === 0) continue;
      const own = upTo(count).filter((n) => n % channels.length === i);
      await untilNumber(tabs[i % TABS].page, own.at(-1), channel);
      const { messages, gaps } = sorted(await accountOf(tabs[i % TABS].page, channel));
      assert.deepEqual(
        messages.map(({ data }) => data.n),
        own,
      );
      assert.deepEqual(gaps, []);
    }
    const asked = proxy.subscriptions.length - before;
    t.diagnostic(`${asked} streams asked for, for ${(channels.length * (TABS - 1)) / TABS} subscriptions`);
    assert.ok(asked <= TABS, `${asked} streams asked for`);
  });

  test("a tab that wants what the leader's token does not grant connects by itself", options, async (t) => {
    const OTHER = "user:8";
    const { sluice, tabs, context } = await openTabs(t, { tabs: CHANNEL });
    const token = await sluice.mint({ channel: OTHER, topics: [TOPIC] });
    const alone = await openSDK(context, site, MODULES);
    await begin(alone.page, { url: sluice.url, channel: OTHER, token, tabs: CHANNEL });
    await opened(alone.page);
    await untilStreams(sluice, [[CHANNEL], [OTHER]]);
    for (let n = 1; n <= 10; n++) {
      await sluice.publish(OTHER, TOPIC, { n });
      await sluice.publish(CHANNEL, TOPIC, { n });
    }
    for (const { page } of [alone, ...tabs]) {
      await untilNumber(page, 10);
      const { messages } = sorted(await accountOf(page));
      assert.deepEqual(
        messages.map(({ channel, data }) => [channel, data.n]),
        upTo(10).map((n) => [page === alone.page ? OTHER : CHANNEL, n]),
      );
    }
    assert.deepEqual(uncaught(alone.faults), []);
  });

  /** Opens the tabs of one browser, with a server of their own, and waits until all are open. */
  async function openTabs(t, sharing) {
    const sluice = await startSluice();
    t.after(() => sluice.kill());
    const context = await browser.newContext();
    t.after(() => context.close());
    const token = await sluice.mint({ channel: CHANNEL, topics: [TOPIC] });
    const tabs = await Promise.all(Array.from({ length: TABS }, () => openSDK(context, site, MODULES)));
    for (const { page } of tabs) await begin(page, { url: sluice.url, channel: CHANNEL, token, ...sharing });
    await Promise.all(tabs.map(({ page }) => opened(page)));
    return { sluice, tabs, context };
  }
});

/** Whether it was the last one that asked for a stream. */
function leads({ addresses }) {
  return addresses.some((address) => address.includes("/v1/subscribe"));
}

async function untilOneLeads(tabs) {
  const asked = Promise.any(tabs.map(({ page }) => page.waitForRequest(/\/v1\/subscribe/, { timeout: 120_000 })));
  asked.catch(() => {}); // they are closed in the end
  if (!tabs.some(leads)) await asked;
}

function close({ page }) {
  return page.close();
}

async function crash({ page }) {
  const session = await page.context().newCDPSession(page);
  const crashed = page.waitForEvent("crash");
  void session.send("Page.crash").catch(() => {}); // there is nobody left to answer
  await crashed;
}

/** Asks the server something with an ordinary fetch of the page. */
function ask(page, sluice, timeoutMs) {
  return page.evaluate(
    async ([address, ms]) => (await fetch(address, { signal: AbortSignal.timeout(ms) })).ok && "alive",
    [`${sluice.url}/healthz`, timeoutMs],
  );
}
