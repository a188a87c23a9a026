// The SDK as the server hands it out, in pages of other origins.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { after, before, describe, test } from "node:test";
import { launch, listen } from "./browser.js";
import { startProxy } from "./proxy.js";
import { startPublisher } from "./publisher.js";
import { accountOf, begin, opened, openSDK, sorted, startSDKSite, uncaught, until, untilNumber, untilStreams, upTo } from "./sdk.js";
import { startSluice } from "./sluice.js";

const CHANNEL = "pipeline:run_42";
const ROOMY = ["--replay-messages", "10000", "--replay-bytes", "64MiB"];
const ANOTHER_HOST = "elsewhere.test";
const options = { timeout: 600_000 };

describe("the SDK in a page", { timeout: 1_800_000, concurrency: true }, () => {
  let browser, site;
  before(async () => {
    [browser, site] = await Promise.all([launch([`--host-resolver-rules=MAP ${ANOTHER_HOST} 127.0.0.1`]), startSDKSite()]);
  });
  after(async () => {
    await browser?.close();
    site?.stop();
  });

  /** Starts a server and opens a page that has its SDK. */
  async function start(t) {
    const sluice = await startSluice({ flags: ROOMY });
    t.after(() => sluice.kill());
    return { sluice, ...(await openSDK(browser, site, [`${sluice.url}/sdk/sluice.js`])) };
  }

  test("is told what an EventSource is told: 2,000 messages, and texts while they are written", options, async (t) => {
    const COUNT = 2000;
    const { sluice, page, faults } = await start(t);
    const topics = ["status", "tokens"];
    const token = await sluice.mint({ channel: CHANNEL, topics });
    await begin(page, { url: sluice.url, token, topics });
    await listen(page, `${sluice.url}/v1/subscribe?access_token=${token}`, topics);
    await opened(page);
    await page.waitForFunction(() => window.opens === 1, undefined, { timeout: 120_000 });
    const message = (n) => ({
      channel: CHANNEL,
      topic: "status",
      data: { n, value: VALUES[n % VALUES.length], large: n % 50 ? undefined : large(n) },
    });
    const publisher = startPublisher(sluice, { perSecond: 400, count: COUNT, message });
    const texts = [TEXT, "ä".repeat(5000), "", "one line\n"];
    const streams = await Promise.all(texts.map((text) => streamText(sluice, text)));
    await publisher.received(COUNT);
    await untilNumber(page, COUNT);
    await page.waitForFunction((n) => window.events.findLast(({ data }) => data.kind === "data").data.data.n === n, COUNT, {
      timeout: 120_000,
    });

    const { told, chunks, read } = await accountOf(page);
    const events = await page.evaluate(() => window.events.filter(({ type }) => type[0] !== "$"));
    const whole = events.filter(({ data }) => data.kind === "data");
    assert.equal(whole.length, COUNT);
    assert.deepEqual(
      told.filter(({ kind }) => kind === "data"),
      whole.map(({ data }) => data),
    );
    assert.ok(whole.every(({ id, data }) => id === data.id));
    assert.equal(events.length, COUNT + streams.reduce((sum, stream) => sum + stream.chunks + 2, 0));
    for (const [i, { stream_id }] of streams.entries()) {
      const pieces = events.filter(({ data }) => data.stream_id === stream_id);
      const [begun] = told.filter((each) => each.stream_id === stream_id);
      const grown = chunks.filter((each) => each.stream_id === stream_id);
      assert.equal(pieces.map(({ data }) => (data.kind === "chunk" ? data.data : "")).join(""), texts[i]);
      assert.equal(begun.text + grown.map(({ chunk }) => chunk).join(""), texts[i], "what onChunk was given");
      assert.equal(grown.at(-1).text, texts[i]);
      assert.equal(grown.at(-1).state, "complete");
      assert.equal(begun.partial, false);
      assert.equal(read[stream_id], texts[i], "what the iteration was given");
    }
    t.diagnostic(`${events.length} events`);
    assert.deepEqual(uncaught(faults), []);
    await page.close();
  });

  test("twenty subscriptions that join while messages flow lose none, and end on one connection", options, async (t) => {
    const CHANNELS = upTo(20).map((n) => `user:${n}`);
    const { sluice, page, faults } = await start(t);
    const token = await sluice.mint({ subscribe: [{ channel: "user:*", topics: ["*"] }] });
    const message = (n) => ({ channel: CHANNELS[n % CHANNELS.length], topic: "news", data: { n } });
    const publisher = startPublisher(sluice, { perSecond: 400, message });
    for (const [i, channel] of CHANNELS.entries()) {
      await publisher.received(i * 40);
      // Every other one wants all that there was, the others what comes from now on.
      await begin(page, { url: sluice.url, token, channel, replay: i % 2 ? "all" : "none" }, channel);
    }
    await Promise.all(CHANNELS.map((channel) => opened(page, channel)));
    const most = (await sluice.subscribers()).length;
    await untilStreams(sluice, [CHANNELS]);
    await publisher.received(publisher.receipts.length + 400); // over the one connection
    await publisher.stop();
    const { receipts } = publisher;
    const accounts = await Promise.all(
      CHANNELS.map(async (channel) => {
        const last = receipts.findLast((receipt) => receipt.channel === channel).id;
        await until(page, ({ told }, id) => told.at(-1)?.id === id, last, channel);
        return accountOf(page, channel);
      }),
    );
    for (const [i, channel] of CHANNELS.entries()) {
      const { told, statuses } = accounts[i];
      const { position } = statuses.find(({ status }) => status === "open");
      const published = receipts.filter((receipt) => receipt.channel === channel).map(({ id }) => id);
      const due = i % 2 ? published : published.filter((id) => sequence(id) > sequence(position));
      assert.deepEqual(
        told.map(({ id }) => id),
        due,
        channel,
      );
      assert.ok(due.length >= 20);
    }
    t.diagnostic(`${receipts.length} messages; connections at the end of joining: ${most}, then: 1`);
    assert.deepEqual(uncaught(faults), []);
    await page.close();
  });

  test("reads with the browser's EventSource, and goes on after each cut", options, async (t) => {
    const COUNT = 600;
    const CUTS = 5;
    const { sluice, page, faults } = await start(t);
    const proxy = await startProxy(sluice.port);
    t.after(() => proxy.stop());
    const token = await sluice.mint({ channel: CHANNEL, topics: ["status"] });
    await begin(page, { url: proxy.url, token, topics: ["status"], eventSource: true, reconnectMaxMs: 500 });
    await opened(page);
    const message = (n) => ({ channel: CHANNEL, topic: "status", data: { n } });
    const publisher = startPublisher(sluice, { perSecond: 100, count: COUNT, message });
    for (let cut = 1; cut <= CUTS; cut++) {
      await publisher.received(cut * 90);
      await untilNumber(page, (cut - 1) * 90 + 1); // it is there again
      proxy.cut();
    }
    await publisher.received(COUNT);
    await untilNumber(page, COUNT);

    const { messages, gaps } = sorted(await accountOf(page));
    assert.deepEqual(
      messages.map(({ data }) => data.n),
      upTo(COUNT),
    );
    assert.deepEqual(gaps, []);
    const [first, ...more] = proxy.subscriptions.map(({ line }) => new URL(line.split(" ")[1], proxy.url).searchParams);
    assert.equal(first.get("access_token"), token);
    assert.equal(first.has("last_event_id"), false);
    assert.ok(more.length >= CUTS && more.every((query) => query.has("last_event_id")), "each goes on where the last one ended");
    t.diagnostic(`${COUNT} messages over ${more.length + 1} connections`);
    assert.deepEqual(uncaught(faults), []);
    await page.close();
  });

  test("is imported by pages of every origin, as it was built", options, async (t) => {
    const { sluice, page: near } = await start(t);
    await near.close();
    const far = await openSDK(browser, { url: site.url.replace("127.0.0.1", ANOTHER_HOST) }, [`${sluice.url}/sdk/sluice.js`]);
    assert.equal(await far.page.evaluate(() => typeof window.sdk.subscribe), "function");
    assert.deepEqual(far.faults, []);
    // To import is all that it may: the server lets nobody from there in.
    await begin(far.page, { url: sluice.url, token: sluice.apiKey, channel: CHANNEL });
    await until(far.page, ({ sub }) => sub.getSnapshot().error?.code === "network");
    await far.page.close();

    const { body, wire } = await download(`${sluice.url}/sdk/sluice.js`);
    assert.ok(body.equals(readFileSync(new URL("../dist/sluice.js", import.meta.url))), "it is not what stands in dist/");
    t.diagnostic(`${wire} bytes on the wire`);
    assert.ok(wire < 16.5 * 1024, `${wire} bytes on the wire`);
  });
});

// What might break on its way, all of it legal in JSON.
const VALUES = [
  "Grüße, 世界 \u{1f30a}",
  "two\nlines\r\nand\rthree",
  "data: x\n\nid: 1\nevent: $close",
  "\u2028 \u2029 \ufeff \u0000 \u0085",
  { ключ: [null, true, 1.5e300, -0.1, [], {}], $type: "status" },
  "",
  "\u0301\u200d\u{10ffff}\ufffd",
];
const TEXT = Array.from({ length: 400 }, (_, i) => `${i}: Grüße, 世界 \u{1f30a}\u2028\r\n`).join("");

/** Makes a text of about 50 KB that is no other's. */
function large(n) {
  return `${n}: ` + "0123456789 äöü \u{1f30a}".repeat(2300);
}

function sequence(id) {
  return Number(id.split("-")[1]);
}

/** Streams a text in pieces that split characters, and returns what the server says of it. */
function streamText({ url, apiKey }, text) {
  const bytes = Buffer.from(text);
  const post = request(`${url}/v1/publish/${encodeURIComponent(CHANNEL)}/tokens/stream`, {
    method: "POST",
    headers: { Authorization: `Bearer ${apiKey}` },
    agent: false,
  });
  let sent = 0;
  const timer = setInterval(() => {
    post.write(bytes.subarray(sent, (sent += 333)));
    if (sent < bytes.length) return;
    clearInterval(timer);
    post.end();
  }, 30); // longer than the server waits to put pieces together
  return new Promise((resolve, reject) => {
    post.on("error", reject);
    post.on("response", async (response) => {
      const answer = JSON.parse((await response.toArray()).join(""));
      if (response.statusCode === 200) resolve(answer);
      else reject(new Error(`${response.statusCode} ${answer.detail}`));
    });
  });
}

/** Gets a file as a browser asks for it: with all that came over the wire counted. */
function download(url) {
  return new Promise((resolve, reject) => {
    const get = request(url, { headers: { "Accept-Encoding": "gzip, deflate, br, zstd" }, agent: false });
    get.on("error", reject);
    get.on("response", async (response) => {
      const body = Buffer.concat(await response.toArray());
      resolve({ body, wire: response.socket.bytesRead });
    });
    get.end();
  });
}
