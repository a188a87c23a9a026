// The debugger of the dashboard, as a person uses it.

import assert from "node:assert/strict";
import { after, before, beforeEach, afterEach, describe, test } from "node:test";
import { launch, openPage } from "./browser.js";
import { startProxy } from "./proxy.js";
import { signingKeys, startSluice } from "./sluice.js";

const CHANNEL = "pipeline:run_42";
const MARKUP = '<script>window.ran = true</script><img src="x" onerror="window.ran = true">';
const options = { timeout: 600_000 };

describe("debugger", { timeout: 1_800_000 }, () => {
  const keys = signingKeys();
  const flags = ["--signing-keys", keys];
  let browser, sluice, proxy, page, faults, addresses;

  before(async () => {
    browser = await launch();
  });
  after(() => browser?.close());
  beforeEach(async () => {
    sluice = await startSluice({ flags });
    proxy = await startProxy(sluice.port);
    await open();
  });
  afterEach(async () => {
    await page?.close();
    await proxy?.stop();
    await sluice?.stop();
  });

  async function open(browserOptions) {
    await page?.close();
    ({ page, faults, addresses } = await openPage(browser, browserOptions));
  }
  const mint = (grant = {}) => sluice.mint({ channel: CHANNEL, topics: ["*"], ...grant });
  const visit = (fragment) => page.goto(`${proxy.url}/#${new URLSearchParams(fragment)}`);
  const phase = (text) => page.locator("#phase", { hasText: text }).waitFor();
  const row = (text) => page.locator(".rows > .row", { hasText: text }).first();
  const note = (tone) => page.locator(`.note[data-tone="${tone}"]`).first();
  const count = (name, n) => page.locator(`#count-${name}`, { hasText: new RegExp(`^${n}$`) }).waitFor();
  const publishFromPage = () => page.locator("#publish button[type=submit]").click();
  const outcome = (text) => page.locator("#publish .outcome", { hasText: text }).waitFor();
  const policyFaults = () => faults.filter((fault) => !fault.startsWith("console: Failed to load resource"));
  async function visitLive(fragment) {
    await visit(fragment);
    await phase("Live");
  }

  test("a link with a token shows the stream, and the token is gone from the address", options, async () => {
    const token = await mint();
    const before = await sluice.publish(CHANNEL, "status", { step: "held" });
    const answer = await visit({ token, channel: CHANNEL, topic: "status", replay: "all" });
    assert.match(answer.headers()["content-security-policy"], /^default-src 'none';(?!.*unsafe)/);
    await row("held").waitFor();
    const live = await sluice.publish(CHANNEL, "status", { step: "live", size: 1.5 });
    await row('{"step":"live","size":1.5}').waitFor();
    await count("messages", 2);

    for (const receipt of [before, live]) {
      const text = await row(receipt.id).innerText();
      for (const part of ["status", CHANNEL, "data", receipt.id]) assert.ok(text.includes(part), `${part} in ${text}`);
    }
    const ids = await page.locator(".rows .id").allInnerTexts();
    assert.deepEqual(ids.slice(0, 2), [live.id, before.id], "newest first");
    assert.equal(page.url(), `${proxy.url}/#channel=pipeline%3Arun_42&topic=status&replay=all`);
    assert.ok(!(await page.content()).includes(token), "not in the document's text");
    assert.deepEqual(await page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie]), [0, 0, ""]);
    assert.ok(addresses.length > 5 && addresses.every((address) => address.startsWith(`${proxy.url}/`)), addresses.join("\n"));
    assert.ok(!addresses.slice(1).join().includes(token), "in no address that was requested");
    assert.ok(!proxy.requests.some(({ line }) => line.includes(token)), "in no request line");
    assert.deepEqual(faults, []);
  });

  test("a second link in the same tab is taken too", options, async () => {
    await visitLive({ token: await mint(), channel: CHANNEL });
    await visit({ key: sluice.apiKey, channel: "user:*" });
    await page.locator(".note[data-tone=open]", { hasText: "user:*" }).waitFor();
    await sluice.publish("user:7", "news", "hello");
    await row("user:7").waitFor();
    assert.ok(!page.url().includes(sluice.apiKey));
  });

  test("opened by hand on a developer's machine, it shows every message, also after a reload", options, async () => {
    await sluice.publish(CHANNEL, "status", { step: "held" });
    await page.goto(`${proxy.url}/#/debugger`);
    await phase("Live");
    await row("held").waitFor();
    assert.equal(page.url(), `${proxy.url}/#channel=*&replay=all`);
    assert.ok(!(await page.content()).includes("sluice-key"), "the key is not in the document");
    await publishFromPage();
    await row('"Hello"').waitFor();
    await sluice.publish("user:7", "news", "from elsewhere");
    await row("from elsewhere").waitFor();
    await page.reload();
    await phase("Live");
    for (const text of ["held", '"Hello"', "from elsewhere"]) await row(text).waitFor();
    assert.deepEqual(faults, []);
  });

  test("works with the keyboard alone", options, async () => {
    await sluice.stop();
    sluice = await startSluice({ port: sluice.port, dev: false, flags });
    const token = await mint();
    await page.goto(`${proxy.url}/#/debugger`);
    await page.locator("#credential").waitFor();
    const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.innerText);
    const tabTo = async (id) => {
      for (let i = 0; i < 20 && (await focused()) !== id; i++) await page.keyboard.press("Tab");
      assert.equal(await focused(), id);
      const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
      assert.equal(outline, "solid", `${id} shows that it has the focus`);
    };
    await page.keyboard.press("Tab");
    assert.equal(await focused(), "skip");
    await tabTo("credential");
    await page.keyboard.type(token);
    await tabTo("channels");
    await page.keyboard.type(CHANNEL);
    await tabTo("connect-button");
    await page.keyboard.press("Enter");
    await phase("Live");
    await sluice.publish(CHANNEL, "status", "by keyboard");
    await row("by keyboard").waitFor();
    await tabTo("Pause");
    await page.keyboard.press("Space");
    await page.locator(".feed-pause", { hasText: "Resume" }).waitFor();
    await page.keyboard.press("Shift+Tab");
    await page.evaluate(() => document.getElementById("skip").focus());
    await tabTo("disconnect");
    await page.keyboard.press("Enter");
    await phase("Not connected");
    assert.equal(await focused(), "connect-button");
    assert.deepEqual(faults, []);
  });

  test("publishes, and shows markup as text", options, async () => {
    await visitLive({ key: sluice.apiKey, channel: CHANNEL });
    await page.fill("#publish-topic", "status");
    await page.fill("#publish-data", JSON.stringify({ markup: MARKUP }));
    await publishFromPage();
    await outcome("201 Published as");
    await row("window.ran").waitFor();
    assert.equal(await row("window.ran").locator(".data").innerText(), JSON.stringify({ markup: MARKUP }));
    await page.check(".feed-pretty");
    assert.equal(await row("window.ran").locator(".data").innerText(), JSON.stringify({ markup: MARKUP }, null, 2));
    assert.equal(await page.locator(".rows script, .rows img").count(), 0);
    assert.equal(await page.evaluate(() => window.ran), undefined);
    assert.deepEqual(faults, []);
  });

  test("an idempotency key publishes once", options, async () => {
    await visitLive({ key: sluice.apiKey, channel: CHANNEL, topic: "status" });
    await page.fill("#publish-key", "order-17");
    await publishFromPage();
    await outcome(/201 Published as \S+, durably/);
    await page.locator("#publish-data").press("Control+Enter");
    await outcome("200 Already published");
    await sluice.publish(CHANNEL, "status", "after");
    await row("after").waitFor();
    await count("messages", 2);
  });

  test("says why a publish was refused", options, async () => {
    await visitLive({ token: await mint(), channel: CHANNEL });
    await page.fill("#publish-topic", "status");
    await publishFromPage();
    await outcome(/403 .*status/);
    await page.fill("#publish-data", "{no json");
    await publishFromPage();
    await outcome("not JSON");
    assert.equal(await page.evaluate(() => document.activeElement.id), "publish-data");
    assert.deepEqual(policyFaults(), []);
  });

  test("messages that were lost are a row of their own", options, async () => {
    await sluice.stop();
    sluice = await startSluice({ port: sluice.port, flags: [...flags, "--replay-messages", "4"] });
    await visitLive({ token: await mint(), channel: CHANNEL });
    await sluice.publish(CHANNEL, "status", 0);
    await count("messages", 1);
    proxy.block();
    await sluice.deserted(CHANNEL);
    for (let n = 1; n <= 20; n++) await sluice.publish(CHANNEL, "status", n);
    proxy.unblock();
    await note("gap").waitFor();
    assert.match(await note("gap").innerText(), /Messages were lost: overrun/);
    await page.locator(".note[data-tone=open]", { hasText: "Stream resumed" }).waitFor();
    await count("messages", 5);
    await count("gaps", 1);
    await count("reconnects", 1);
    await page.selectOption(".feed-filter", "status");
    assert.ok(await note("gap").isVisible(), "no filter hides it");
    assert.deepEqual(policyFaults(), []);
  });

  test("a server that starts anew is told as lost messages", options, async () => {
    await visitLive({ token: await mint(), channel: CHANNEL });
    await sluice.publish(CHANNEL, "status", 1);
    await count("messages", 1);
    await sluice.kill();
    await phase("Reconnecting");
    sluice = await startSluice({ port: sluice.port, apiKey: sluice.apiKey, flags });
    await phase("Live");
    await note("gap").waitFor();
    assert.match(await note("gap").innerText(), /Messages were lost: restarted/);
  });

  test("a refused token stops the page, and it says so", options, async () => {
    await visit({ token: "not.a.token", channel: CHANNEL });
    await phase("Stopped: The token or API key was refused (401)");
    await page.waitForTimeout(3000);
    assert.equal(proxy.subscriptions.filter(({ line }) => line.includes("pipeline")).length, 1);
    assert.deepEqual(policyFaults(), []);
  });

  test("a channel that is not granted is named", options, async () => {
    await visit({ token: await mint(), channel: "user:7" });
    await phase(/Stopped: 403 .*user:7/);
  });

  test("after an expired token a new one goes on where it stopped", options, async () => {
    await visitLive({ token: await mint({ ttl: "15s" }), channel: CHANNEL }); // long, since machines may be busy
    await sluice.publish(CHANNEL, "status", "one");
    await row("one").waitFor();
    await phase("Stopped: The token has expired");
    assert.match(await note("close").innerText(), /token_expired/);
    await sluice.publish(CHANNEL, "status", "two");
    await page.fill("#credential", await mint());
    await page.click("#connect-button");
    await row("two").waitFor();
    await page.locator(".note[data-tone=open]", { hasText: "Stream resumed" }).waitFor();
  });

  test("a run's status is a row, and shown once", options, async () => {
    await visitLive({ token: await mint(), channel: CHANNEL });
    await sluice.setRun(CHANNEL, { status: "running", run_id: "run_42" });
    await row("Run running").waitFor();
    await sluice.setRun(CHANNEL, { status: "failed", run_id: "run_42", error: "disk full" });
    await row("Run failed").waitFor();
    assert.match(await row("Run failed").innerText(), /run_42 · "disk full"/);
    await page.click("#connect-button"); // a new stream is given the latest status
    await page.locator(".note[data-tone=open] >> nth=1").waitFor();
    await sluice.publish(CHANNEL, "status", "later");
    await row("later").waitFor();
    assert.equal(await page.locator(".note", { hasText: "Run failed" }).count(), 1);
  });

  test("a text that is streamed is one row, which grows", options, async () => {
    await visitLive({ token: await mint(), channel: CHANNEL });
    const parts = new TransformStream();
    const writer = parts.writable.getWriter();
    const encoder = new TextEncoder();
    const headers = { Authorization: `Bearer ${sluice.apiKey}` };
    const url = `${sluice.url}/v1/publish/${encodeURIComponent(CHANNEL)}/log/stream`;
    const answer = fetch(url, { method: "POST", headers, body: parts.readable, duplex: "half" });
    await writer.write(encoder.encode("one "));
    await row('"one "').waitFor();
    assert.match(await row('"one "').innerText(), /text, open/);
    await writer.write(encoder.encode("two"));
    await writer.close();
    assert.equal((await answer).status, 200);
    await row('"one two"').waitFor();
    await page.locator(".rows .message", { hasText: "text, complete" }).waitFor();
    assert.equal(await page.locator(".rows .message").count(), 1);
    await count("messages", 1);
  });

  test("pause, clear and filter", options, async () => {
    await visitLive({ token: await mint(), channel: CHANNEL });
    await sluice.publish(CHANNEL, "status", "first");
    await sluice.publish(CHANNEL, "tokens", "second");
    await row("second").waitFor();
    await page.selectOption(".feed-filter", "tokens");
    assert.equal(await row("first").isVisible(), false);
    assert.equal(await row("second").isVisible(), true);
    await page.selectOption(".feed-filter", "");
    assert.equal(await row("first").isVisible(), true);

    await page.click(".feed-pause");
    await sluice.publish(CHANNEL, "status", "third");
    await page.locator(".feed-pause", { hasText: "Resume (1)" }).waitFor();
    await count("messages", 3);
    assert.equal(await row("third").count(), 0);
    await page.click(".feed-pause");
    await row("third").waitFor();

    await page.click(".feed-clear");
    await page.locator(".empty").waitFor();
    assert.equal(await page.locator(".row").count(), 0);
  });

  test("keeps the newest 500 rows of a busy stream", options, async () => {
    await visitLive({ token: await mint(), channel: CHANNEL });
    for (let batch = 0; batch < 6; batch++) {
      const numbers = Array.from({ length: 100 }, (_, i) => batch * 100 + i + 1);
      await sluice.publishAll(numbers.map((n) => ({ channel: CHANNEL, topic: "status", data: n })));
    }
    await count("messages", 600);
    await page.locator(".bound").waitFor();
    const shown = await page.locator(".rows .data").allInnerTexts();
    assert.deepEqual(
      shown,
      Array.from({ length: 500 }, (_, i) => String(600 - i)),
    );
  });

  for (const width of [360, 768, 1024, 1600]) {
    for (const colorScheme of ["light", "dark"]) {
      test(`fits ${width} pixels, ${colorScheme}`, options, async () => {
        await open({ viewport: { width, height: 800 }, colorScheme });
        await visitLive({ key: sluice.apiKey, channel: CHANNEL });
        await sluice.publish(CHANNEL, "a".repeat(64), { word: "w".repeat(3000) });
        await row("www").waitFor();
        assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false, "no sideways scrolling");
        const [paper, ink] = await page.evaluate(() =>
          [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color].map((c) => Number(/\d+/.exec(c)[0])),
        );
        assert.equal(paper < ink, colorScheme === "dark");
        assert.deepEqual(faults, []);
      });
    }
  }
});
