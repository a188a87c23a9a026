// What a page that knows nothing but EventSource can rely on.

import assert from "node:assert/strict";
import { after, before, beforeEach, afterEach, describe, test } from "node:test";
import { closed, launch, listen, openPage, received, startSite } from "./browser.js";
import { startProxy } from "./proxy.js";
import { signingKeys, startSluice } from "./sluice.js";
import { beginText } from "./writer.js";

const CHANNEL = "pipeline:run_42";
const options = { timeout: 600_000 };

describe("EventSource", { timeout: 1_800_000 }, () => {
  const keys = signingKeys();
  let browser, site, sluice, proxy, page, faults;

  before(async () => {
    [browser, site] = await Promise.all([launch(), startSite()]);
  });
  after(async () => {
    await browser?.close();
    site?.stop();
  });
  beforeEach(async () => {
    sluice = await startSluice({ flags: ["--signing-keys", keys] });
    proxy = await startProxy(sluice.port);
    ({ page, faults } = await openPage(browser));
    await page.goto(site.url);
  });
  afterEach(async () => {
    await page?.close();
    await proxy?.stop();
    await sluice?.stop();
  });

  const mint = (grant = {}) => sluice.mint({ channel: CHANNEL, topics: ["status", "tokens"], ...grant });
  const streamURL = (token, query = "") => `${proxy.url}/v1/subscribe?access_token=${token}${query}`;
  const publish = async (from, to) => {
    const receipts = [];
    for (let n = from; n <= to; n++) receipts.push(await sluice.publish(CHANNEL, "status", { n }));
    return receipts;
  };
  const numbers = (events) => events.map((event) => event.data.data.n);
  const upTo = (n) => Array.from({ length: n }, (_, i) => i + 1);

  test("$open comes first, then named events with id and data", options, async () => {
    await listen(page, streamURL(await mint()), ["status", "tokens"]);
    const [open] = await received(page, "$open", 1);
    const receipt = await sluice.publish(CHANNEL, "status", { message: "Grüße, 世界 \u{1f30a}" });
    await sluice.publish(CHANNEL, "tokens", "one");
    const [status] = await received(page, "status", 1);
    const [tokens] = await received(page, "tokens", 1);

    assert.equal(open.data.id, open.id);
    assert.equal(open.data.resumed, false);
    assert.deepEqual(open.data.channels, [CHANNEL]);
    assert.equal(status.id, receipt.id);
    assert.deepEqual(status.data, {
      id: receipt.id,
      channel: CHANNEL,
      topic: "status",
      kind: "data",
      data: { message: "Grüße, 世界 \u{1f30a}" },
      created_at: receipt.created_at,
    });
    assert.equal(tokens.data.data, "one");
    const all = await page.evaluate(() => window.events.map((event) => event.type));
    assert.deepEqual(all, ["$open", "status", "tokens"]);
    assert.deepEqual(faults, []);
  });

  test("replay gives what is held before what is live", options, async () => {
    await publish(1, 3);
    await listen(page, streamURL(await mint(), "&replay=all"), ["status"]);
    await received(page, "status", 3);
    await publish(4, 5);
    assert.deepEqual(numbers(await received(page, "status", 5)), upTo(5));
    assert.equal(await page.evaluate(() => window.events[0].type), "$open");
  });

  test("a cut connection loses and doubles nothing", options, async () => {
    await listen(page, streamURL(await mint()), ["status"]);
    await received(page, "$open", 1);
    for (let round = 0; round < 3; round++) {
      const first = round * 20 + 1;
      const receipts = await publish(first, first + 9);
      await received(page, "status", first + 9);
      const again = proxy.nextSubscription();
      proxy.block();
      await publish(first + 10, first + 19); // nobody listens
      proxy.unblock();
      assert.equal((await again).headers["last-event-id"], receipts.at(-1).id);
      const opens = await received(page, "$open", round + 2);
      assert.equal(opens.at(-1).data.resumed, true);
      await received(page, "status", first + 19);
    }
    assert.deepEqual(numbers(await received(page, "status", 60)), upTo(60));
    assert.deepEqual(await received(page, "$gap", 0), []);
    assert.equal(proxy.subscriptions.length, 4);
  });

  test("a connection cut before the first message loses nothing", options, async () => {
    await listen(page, streamURL(await mint()), ["status"]);
    const [open] = await received(page, "$open", 1);
    const again = proxy.nextSubscription();
    proxy.cut();
    await publish(1, 5);
    assert.equal((await again).headers["last-event-id"], open.id);
    assert.deepEqual(numbers(await received(page, "status", 5)), upTo(5));
  });

  test("an event that was cut off in its middle comes again whole", options, async () => {
    const text = "x".repeat(20_000);
    for (let n = 1; n <= 3; n++) await sluice.publish(CHANNEL, "status", { n, text });
    proxy.holdNextAfter(30_000);
    await listen(page, streamURL(await mint(), "&replay=all"), ["status"]);
    await received(page, "status", 1);
    proxy.cut();
    const events = await received(page, "status", 3);
    assert.deepEqual(numbers(events), upTo(3));
    assert.ok(events.every((event) => event.data.data.text === text));
    assert.equal(proxy.subscriptions.length, 2);
    assert.equal(proxy.subscriptions[1].headers["last-event-id"], events[0].id);
  });

  test("what the buffer no longer holds is told as a gap", options, async () => {
    await sluice.stop();
    sluice = await startSluice({ port: sluice.port, flags: ["--signing-keys", keys, "--replay-messages", "4"] });
    await listen(page, streamURL(await mint()), ["status"]);
    await received(page, "$open", 1);
    await publish(1, 2);
    const asked = (await received(page, "status", 2))[1].id;
    proxy.block();
    await sluice.deserted(CHANNEL);
    await publish(3, 22);
    proxy.unblock();
    const [gap] = await received(page, "$gap", 1);
    const events = await received(page, "status", 6);
    assert.equal(gap.data.channel, CHANNEL);
    assert.equal(gap.data.after, asked);
    assert.equal(gap.data.reason, "overrun");
    assert.equal(gap.data.resumes_at, events[2].id);
    assert.deepEqual(numbers(events), [1, 2, 19, 20, 21, 22]);
  });

  test("a server that starts anew is told as a gap", options, async () => {
    await listen(page, streamURL(await mint()), ["status"]);
    await received(page, "$open", 1);
    await publish(1, 3);
    const before = (await received(page, "status", 3)).at(-1).id;
    await sluice.kill();
    sluice = await startSluice({ port: sluice.port, apiKey: sluice.apiKey, flags: ["--signing-keys", keys] });
    const [gap] = await received(page, "$gap", 1);
    assert.equal(gap.data.reason, "restarted");
    assert.equal(gap.data.after, before);
    await publish(4, 6);
    assert.deepEqual(numbers(await received(page, "status", 6)), upTo(6));
    assert.equal(await page.evaluate(() => window.errors.includes(EventSource.CLOSED)), false);
  });

  test("a draining server asks to come back, and the browser does", options, async () => {
    await listen(page, streamURL(await mint()), ["status"]);
    await received(page, "$open", 1);
    await publish(1, 1);
    await received(page, "status", 1);
    await sluice.stop();
    const [close] = await received(page, "$close", 1);
    assert.equal(close.data.code, 4002);
    assert.equal(close.data.reconnect, true);
    sluice = await startSluice({ port: sluice.port, apiKey: sluice.apiKey, flags: ["--signing-keys", keys] });
    await received(page, "$open", 2);
  });

  test("a bad token stops the browser at once", options, async () => {
    await listen(page, streamURL("not.a.token"), ["status"]);
    await closed(page);
    await nothingMore();
    assert.equal(await page.evaluate(() => window.opens), 0);
    assert.ok(faults.some((fault) => fault.includes("401")), faults.join("\n"));
  });

  test("an expired token ends the stream with 4001, then stops the browser", options, async () => {
    await listen(page, streamURL(await mint({ ttl: "4s" })), ["status"]);
    const [close] = await received(page, "$close", 1);
    assert.equal(close.data.code, 4001);
    assert.equal(close.data.reason, "token_expired");
    await closed(page);
    assert.equal(proxy.subscriptions.length, 2); // it came back, as EventSource does, and got its 401
    await nothingMore(2);
  });

  test("a page that is reloaded ten times while a text of 5,000 words grows has all of it each time", options, async () => {
    await sluice.define(CHANNEL, { replay: { messages: 8 } }); // a text counts as one
    const text = beginText(sluice, CHANNEL, "tokens");
    const write = async (from, to) => {
      for (let n = from; n < to; n++) {
        await text.write(`wörd${n} `);
        if (n % 10 === 0) await new Promise(setImmediate);
        if (n % 100 === 0) await sluice.publish(CHANNEL, "status", { n }); // more than the buffer may have of messages
      }
    };
    const token = await mint();
    await write(0, 100);
    for (let reload = 0; reload < 10; reload++) {
      await page.reload();
      await listen(page, streamURL(token, "&replay=all"), ["status", "tokens"]);
      const had = text.written();
      await write(100 + reload * 490, 100 + (reload + 1) * 490);
      await page.waitForFunction((length) => window.text().length >= length, had.length, { polling: 20 });
      const { shown, gaps } = await page.evaluate(() => ({ shown: window.text(), gaps: window.events.filter(({ type }) => type === "$gap") }));
      assert.ok(text.written().startsWith(shown), `after reload ${reload}: ${shown.slice(0, 40)}`);
      assert.deepEqual(gaps, []);
    }
    await text.end();
    await page.waitForFunction(() => window.events.at(-1)?.data.kind === "datastream-end", undefined, { polling: 20 });
    assert.equal(await page.evaluate(() => window.text()), text.written());
  });

  test("until=end ends the stream with the run, and the browser asks for nothing more", options, async () => {
    await sluice.publish(CHANNEL, "status", { n: 1 });
    await listen(page, streamURL(await mint(), "&replay=all&until=end"), ["status"]);
    await received(page, "status", 1);
    await sluice.setRun(CHANNEL, { status: "completed" });
    const [close] = await received(page, "$close", 1);
    assert.equal(close.data.code, 4000);
    await closed(page);
    const asked = proxy.subscriptions.length;
    assert.ok(asked <= 2); // it came back, as EventSource does, and got its 204
    await nothingMore(asked);
  });

  test("a revoked token ends the stream with 4401", options, async () => {
    const token = await mint();
    await listen(page, streamURL(token), ["status"]);
    await received(page, "$open", 1);
    await sluice.revoke(token);
    const [close] = await received(page, "$close", 1);
    assert.equal(close.data.code, 4401);
    assert.equal(close.data.reconnect, false);
    await closed(page);
  });

  /** Fails if another request for a stream comes within three seconds. */
  async function nothingMore(count = 1) {
    await assert.rejects(proxy.nextSubscription(3000), /no request/);
    assert.equal(proxy.subscriptions.length, count);
  }
});
