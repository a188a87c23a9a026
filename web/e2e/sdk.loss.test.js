// The SDK in a browser while servers die, connections break and tokens expire.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { launch } from "./browser.js";
import { startProxy } from "./proxy.js";
import { startPublisher } from "./publisher.js";
import { accountOf, begin, opened, openSDK, sorted, startSDKSite, uncaught, until, untilNumber, upTo } from "./sdk.js";
import { startSluice } from "./sluice.js";

const CHANNEL = "pipeline:run_42";
const TOPIC = "status";
const ROOMY = ["--replay-messages", "100000", "--replay-bytes", "64MiB"];
const options = { timeout: 600_000 };

describe("the SDK loses nothing", { timeout: 1_800_000, concurrency: true }, () => {
  let browser, site;
  before(async () => {
    [browser, site] = await Promise.all([launch(), startSDKSite()]);
  });
  after(async () => {
    await browser?.close();
    site?.stop();
  });

  // Receipts after which the server is killed, and how many of these the page is cut off for before.
  const LIVES = [
    { receipts: 2000, unseen: 0 },
    { receipts: 500, unseen: 500 }, // a whole life
    { receipts: 2500, unseen: 1000 },
    { receipts: 2000, unseen: 0 },
    { receipts: 3000, unseen: 0 }, // the last, which is not killed
  ];

  test("10,000 messages while the server is killed: each has come, or a gap told that it will not", options, async (t) => {
    let sluice = await startSluice({ flags: ROOMY });
    t.after(() => sluice.kill());
    const proxy = await startProxy(sluice.port);
    t.after(() => proxy.stop());
    const { page, faults } = await openSDK(browser, site, [`${sluice.url}/sdk/sluice.js`]);
    await begin(page, { url: proxy.url, token: sluice.apiKey, channel: CHANNEL, reconnectMaxMs: 500 });
    await opened(page);
    const receipts = []; // of each life
    for (const [life, plan] of LIVES.entries()) {
      if (life > 0) sluice = await startSluice({ port: sluice.port, apiKey: sluice.apiKey, flags: ROOMY });
      const message = (n) => ({ channel: CHANNEL, topic: TOPIC, data: { life, n } });
      const publisher = startPublisher(sluice, { perSecond: 1000, message });
      receipts.push(publisher.receipts);
      const seen = plan.receipts - plan.unseen;
      if (seen > 0) {
        proxy.unblock();
        await publisher.received(seen);
        await until(page, ({ told }, now) => told.some(({ data }) => data?.life === now), life);
      }
      if (plan.unseen > 0) proxy.block();
      await publisher.received(publisher.receipts.length + plan.unseen);
      if (life === LIVES.length - 1) await publisher.stop();
      else await sluice.kill();
      await publisher.ended();
    }
    await until(page, ({ told }, id) => told.at(-1).id === id, receipts.at(-1).at(-1).id);

    const { told, invalid } = await accountOf(page);
    const { received, lost, gaps } = accountFor(told, receipts);
    t.diagnostic(`${receipts.flat().length} receipts, ${received} received, ${lost} lost, ${gaps} gaps`);
    assert.ok(receipts.flat().length >= 10_000);
    assert.ok(lost >= 1500, "what the page was cut off for was lost");
    assert.equal(gaps, 3, "of the four restarts two came as one");
    assert.deepEqual(invalid, []);
    assert.deepEqual(uncaught(faults), []);
    await page.close();
  });

  test("a connection that breaks every second loses and doubles nothing, and makes no gap", options, async (t) => {
    const COUNT = 3000;
    const sluice = await startSluice({ flags: ROOMY });
    t.after(() => sluice.kill());
    const proxy = await startProxy(sluice.port);
    t.after(() => proxy.stop());
    const { page, faults } = await openSDK(browser, site, [`${sluice.url}/sdk/sluice.js`]);
    // Else the waits would grow to five seconds, and most cuts would find nothing to cut.
    await begin(page, { url: proxy.url, token: sluice.apiKey, channel: CHANNEL, reconnectMaxMs: 500 });
    await opened(page);
    const text = "x".repeat(3000); // so that events are cut in their middle, too
    const message = (n) => ({ channel: CHANNEL, topic: TOPIC, data: n % 10 ? { n } : { n, text } });
    const publisher = startPublisher(sluice, { perSecond: 100, count: COUNT, message });
    const cutting = setInterval(() => proxy.cut(), 1000);
    t.after(() => clearInterval(cutting));
    await publisher.received(COUNT);
    clearInterval(cutting);
    await untilNumber(page, COUNT);

    const { messages, gaps } = sorted(await accountOf(page));
    assert.deepEqual(
      messages.map(({ data }) => data.n),
      upTo(COUNT),
    );
    assert.deepEqual(
      messages.map(({ id }) => id),
      publisher.receipts.map(({ id }) => id),
    );
    assert.ok(messages.every(({ data }) => data.n % 10 || data.text === text));
    assert.deepEqual(gaps, []);
    const streams = proxy.requests.filter(({ line }) => line.startsWith("GET /v1/subscribe"));
    t.diagnostic(`${COUNT} messages over ${streams.length} connections`);
    assert.ok(streams.length >= 8, `only ${streams.length} connections`);
    assert.ok(
      streams.slice(1).every(({ headers }) => headers["last-event-id"]),
      "each goes on where the last one ended",
    );
    assert.deepEqual(uncaught(faults), []);
    await page.close();
  });

  test("tokens that live for two seconds carry a stream of twenty", options, async (t) => {
    const COUNT = 1000;
    const sluice = await startSluice({ flags: ROOMY }); // a page on a busy machine may take its time between two tokens
    t.after(() => sluice.kill());
    const proxy = await startProxy(sluice.port);
    t.after(() => proxy.stop());
    const minted = [];
    const app = await startSDKSite({
      "/token": async () => {
        minted.push(await sluice.mint({ channel: CHANNEL, topics: [TOPIC], ttl: "2s" }));
        return { token: minted.at(-1) };
      },
    });
    t.after(() => app.stop());
    const { page, faults, addresses } = await openSDK(browser, app, [`${sluice.url}/sdk/sluice.js`]);
    await begin(page, { url: proxy.url, tokenFrom: "/token" });
    await opened(page);
    const began = performance.now();
    const message = (n) => ({ channel: CHANNEL, topic: TOPIC, data: { n } });
    const publisher = startPublisher(sluice, { perSecond: 50, count: COUNT, message });
    await publisher.received(COUNT);
    await untilNumber(page, COUNT);

    const seconds = (performance.now() - began) / 1000;
    const account = await accountOf(page);
    const { messages, gaps } = sorted(account);
    assert.deepEqual(
      messages.map(({ data }) => data.n),
      upTo(COUNT),
    );
    assert.deepEqual(gaps, []);
    t.diagnostic(`${minted.length} tokens`);
    // A token lives to the end of a second, so for two to three.
    assert.ok(minted.length >= 4 && minted.length <= seconds, `${minted.length} tokens in ${seconds} s`);
    const shown = proxy.subscriptions.map(({ headers }) => headers.authorization);
    const all = minted.map((token) => `Bearer ${token}`);
    shown.push(all.at(-1)); // it may be on its way
    assert.deepEqual(new Set(shown), new Set(all), "each was shown, and nothing else");
    const seen = [...addresses, ...proxy.requests.map(({ line }) => line)].join("\n");
    assert.ok(!minted.some((token) => seen.includes(token)), "none was in an address");
    assert.ok(!account.statuses.some(({ status }) => status === "error" || status === "closed"));
    assert.deepEqual(uncaught(faults), []);
    await page.close();
  });
});

/**
 * Checks what a page was told against the receipts of each life of the server: nothing twice,
 * everything in order, and what is missing lies in a gap that was told.
 */
function accountFor(told, lives) {
  const epochs = lives.map(([{ id }]) => id.split("-")[0]);
  const rank = (id) => {
    const [epoch, seq] = id.split("-");
    assert.ok(epochs.includes(epoch), `${id} is of no life`);
    return epochs.indexOf(epoch) * 1e9 + Number(seq);
  };
  const ranges = told.flatMap(({ gap }, i) => {
    if (!gap) return [];
    assert.equal(gap.reason, "restarted");
    assert.equal(gap.channel, CHANNEL);
    const next = told.slice(i).find(({ id }) => id);
    return [{ after: rank(gap.after), end: rank(gap.resumes_at ?? next.id) }];
  });
  const messages = told.filter(({ id }) => id);
  messages.reduce((before, { id }) => {
    assert.ok(rank(id) > before, `${id} came twice or too late`);
    return rank(id);
  }, -1);
  const within = (id) => ranges.some(({ after, end }) => after < rank(id) && rank(id) < end);
  assert.deepEqual(
    messages.filter(({ id }) => within(id)),
    [],
    "what has come was not told to be lost",
  );

  const ids = new Set(messages.map(({ id }) => id));
  const lost = lives.flat().filter(({ id }) => !ids.has(id));
  assert.deepEqual(
    lost.filter(({ id }) => !within(id)),
    [],
    "what has not come was told to be lost",
  );
  // What the server had when the page came back has come from its beginning: only ends are lost.
  for (const life of lives.keys()) {
    const numbers = messages.filter(({ data }) => data.life === life).map(({ data }) => data.n);
    assert.deepEqual(numbers, upTo(numbers.length), `life ${life}`);
  }
  return { received: messages.length, lost: lost.length, gaps: ranges.length };
}
