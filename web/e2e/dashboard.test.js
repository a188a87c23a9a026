// The dashboard, as an operator uses it.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { launch, openPage } from "./browser.js";
import { signingKeys, startSluice } from "./sluice.js";

const options = { timeout: 600_000 };

describe("dashboard", { timeout: 1_800_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-dashboard-"));
  const keysFile = join(folder, "keys.json");
  const narrowKey = randomBytes(24).toString("hex");
  let browser, sluice, page, faults, addresses;

  before(async () => {
    const sha256 = createHash("sha256").update(narrowKey).digest("hex");
    writeFileSync(keysFile, JSON.stringify({ keys: [{ name: "narrow", sha256, subscribe: [{ channel: "*", topics: ["*"] }] }] }), { mode: 0o600 });
    browser = await launch();
  });
  after(async () => {
    await browser?.close();
    rmSync(folder, { recursive: true });
  });
  beforeEach(async () => {
    sluice = await startSluice({ dev: false, flags: ["--signing-keys", signingKeys(), "--api-keys-file", keysFile] });
    ({ page, faults, addresses } = await openPage(browser));
  });
  afterEach(async () => {
    await page?.close();
    await sluice?.stop();
  });

  const heading = (name) => page.getByRole("heading", { level: 1, name, exact: true }).waitFor();
  const tile = (name) => page.getByRole("region", { name, exact: true });
  const policyFaults = () => faults.filter((fault) => !fault.startsWith("console: Failed to load resource"));
  async function signIn(key = sluice.apiKey) {
    await page.getByLabel("API key").fill(key);
    await page.getByRole("button", { name: "Open the dashboard" }).click();
  }
  async function open(hash = "") {
    await page.goto(`${sluice.url}/${hash}`);
    await signIn();
  }

  test("a key opens it, and is kept nowhere", options, async () => {
    await open();
    await heading("Overview");
    await tile("Publishes").waitFor();
    assert.deepEqual(await page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie]), [0, 0, ""]);
    assert.ok(!(await page.content()).includes(sluice.apiKey), "not in the document");
    assert.ok(!addresses.join().includes(sluice.apiKey), "in no address");
    assert.ok(
      addresses.every((address) => address.startsWith(`${sluice.url}/`)),
      addresses.join("\n"),
    );
    await page.getByRole("button", { name: "Forget key" }).click();
    await heading("Enter an API key");
    assert.deepEqual(faults, []);
  });

  test("other keys are refused, and it says why", options, async () => {
    await page.goto(sluice.url);
    await signIn("wrong");
    await page.getByRole("alert").filter({ hasText: "does not know this key" }).waitFor();
    await signIn(narrowKey);
    await page.getByRole("alert").filter({ hasText: "may not do everything" }).waitFor();
    await signIn("clé");
    await page.getByRole("alert").filter({ hasText: "printable ASCII" }).waitFor();
    assert.deepEqual(policyFaults(), []);
  });

  test("a development server opens it by itself", options, async () => {
    await sluice.stop();
    sluice = await startSluice({ port: sluice.port });
    await page.goto(sluice.url);
    await heading("Overview");
    await tile("Publishes").waitFor();
    assert.ok(!(await page.content()).includes("sluice-key"), "the key is not in the document");
    assert.deepEqual(faults, []);
  });

  test("the overview is live", options, async () => {
    await open();
    await tile("Publishes").getByText("0 since the start").waitFor();
    await sluice.publishAll(Array.from({ length: 20 }, (_, n) => ({ channel: "pipeline:run_42", topic: "status", data: n })));
    await tile("Publishes").getByText("20 since the start").waitFor();
    await tile("Streams").getByText("1 channels in memory").waitFor();
    const busiest = tile("Busiest channels");
    await busiest.getByRole("link", { name: "pipeline:run_42" }).waitFor();
    await busiest.getByText("Nothing is published now").waitFor(); // some seconds later
    await tile("Engine").getByText("Ready").waitFor();
    assert.deepEqual(faults, []);
  });

  test("a server that is gone is told, and so is its return", options, async () => {
    const keys = signingKeys();
    await sluice.stop();
    sluice = await startSluice({ port: sluice.port, apiKey: sluice.apiKey, dev: false, flags: ["--signing-keys", keys] });
    await open();
    await tile("Publishes").waitFor();
    await sluice.kill();
    await page.locator(".health", { hasText: "Connection lost" }).waitFor();
    await page.getByRole("alert").filter({ hasText: "the last that is known" }).waitFor();
    sluice = await startSluice({ port: sluice.port, apiKey: sluice.apiKey, dev: false, flags: ["--signing-keys", keys] });
    await page.locator(".health", { hasText: "Ready" }).waitFor();
    await sluice.publish("c", "t", 1);
    await tile("Publishes").getByText("1 since the start").waitFor();
    assert.deepEqual(policyFaults(), []);
  });

  test("works with the keyboard alone", options, async () => {
    await page.goto(sluice.url);
    await heading("Enter an API key");
    const focused = () => page.evaluate(() => document.activeElement.innerText || document.activeElement.name || document.activeElement.id);
    async function tabTo(wanted) {
      for (let i = 0; i < 40 && (await focused()) !== wanted; i++) await page.keyboard.press("Tab");
      assert.equal(await focused(), wanted);
      const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
      assert.equal(outline, "solid", `${wanted} shows that it has the focus`);
    }
    await page.keyboard.press("Tab");
    assert.equal(await focused(), "Skip to the content");
    await page.keyboard.press("Enter");
    await tabTo("key");
    await page.keyboard.type(sluice.apiKey);
    await page.keyboard.press("Enter");
    await heading("Overview");
    await tabTo("Debugger");
    await page.keyboard.press("Enter");
    await heading("Debugger");
    assert.deepEqual(faults, []);
  });
});
