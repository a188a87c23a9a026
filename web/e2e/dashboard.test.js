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
  let browser, sluice, page, faults, addresses, streams;

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
    streams = [];
    sluice = await startSluice({ dev: false, flags: ["--signing-keys", signingKeys(), "--api-keys-file", keysFile] });
    ({ page, faults, addresses } = await openPage(browser));
  });
  afterEach(async () => {
    await page?.close();
    await Promise.allSettled(streams.map(({ body }) => body.cancel()));
    await sluice?.stop();
  });

  /** Reads a channel as a subject, until the function that it returns is called. */
  async function reads(channel, sub) {
    const token = await sluice.mint({ channel, sub });
    const response = await fetch(`${sluice.url}/v1/subscribe`, { headers: { Authorization: `Bearer ${token}` } });
    streams.push(response); // one that nothing refers to would end by itself
    return () => response.body.cancel();
  }

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
    await page.getByRole("alert").filter({ hasText: "this one may not" }).waitFor();
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
    await tile("Streams").getByText("1 channel in memory").waitFor();
    const busiest = tile("Busiest channels");
    await busiest.getByRole("link", { name: "pipeline:run_42" }).waitFor();
    await busiest.getByText("Nothing is being published").waitFor(); // some seconds later
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
    await page.getByRole("alert").filter({ hasText: "the last known ones" }).waitFor();
    sluice = await startSluice({ port: sluice.port, apiKey: sluice.apiKey, dev: false, flags: ["--signing-keys", keys] });
    await page.locator(".health", { hasText: "Ready" }).waitFor();
    await sluice.publish("c", "t", 1);
    await tile("Publishes").getByText("1 since the start").waitFor();
    assert.deepEqual(policyFaults(), []);
  });

  test("a channel is found among others, opened, read live, and deleted", options, async () => {
    await sluice.publishAll(Array.from({ length: 900 }, (_, n) => ({ channel: `user:${n}`, topic: "news", data: n })));
    await sluice.publish("pipeline:run_42", "status", { step: "held" });
    await open("#/channels");
    await page.getByRole("row", { name: /^pipeline:run_42 / }).waitFor();
    await page.getByLabel("Channels that begin with").fill("user:77");
    await page.getByRole("row", { name: /^user:777 / }).waitFor();
    await page.getByRole("row", { name: /^pipeline/ }).waitFor({ state: "detached" });
    await page.getByLabel("Channels that begin with").fill("nobody");
    await page.getByText("No channel begins with “nobody”").waitFor();
    await page.getByLabel("Channels that begin with").fill("");

    await page.getByRole("link", { name: "pipeline:run_42" }).click();
    await heading("pipeline:run_42");
    await page.locator(".row", { hasText: "held" }).waitFor();
    await sluice.publish("pipeline:run_42", "status", { step: "live" });
    await page.locator(".row", { hasText: "live" }).waitFor();
    const leave = await reads("pipeline:run_42", "user-7");
    await tile("Readers").getByRole("link", { name: "user-7" }).waitFor();
    await tile("Presence").getByRole("link", { name: "user-7" }).waitFor();
    await tile("Presence").getByText("2 on all nodes").waitFor();
    await leave();
    await tile("Readers").getByRole("link", { name: "user-7" }).waitFor({ state: "detached" });

    await page.getByRole("button", { name: "Delete…" }).click();
    await page.getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("button", { name: "Delete…" }).click();
    await page.getByRole("button", { name: "Delete the channel" }).click();
    await heading("Channels");
    await page.waitForFunction(() => location.hash === "#/channels");
    await assert.rejects(sluice.channel("pipeline:run_42"), /404/);
    assert.deepEqual(policyFaults(), []);
  });

  test("who comes to a channel and who goes is told by a stream", options, async () => {
    const [leave7] = await Promise.all([reads("room:1", "user-7"), reads("room:1", "user-9")]);
    await page.route(/\/presence\?/, (route) => route.abort()); // the list that can be asked for
    await open("#/channels/room%3A1");
    const presence = tile("Presence");
    const subject = (name) => presence.getByRole("link", { name, exact: true });
    await presence.getByText("3 on all nodes").waitFor();
    await presence.getByText("1 without a subject").waitFor();
    await subject("user-7").waitFor();
    await reads("room:1", "user-8");
    await subject("user-8").waitFor();
    await leave7();
    await subject("user-7").waitFor({ state: "detached" });
    assert.deepEqual(await presence.getByRole("link").allInnerTexts(), ["user-8", "user-9"]);

    await page.unroute(/\/presence\?/);
    await reads("room:1", "user-9"); // a second tab: of that, no stream tells
    await presence.getByRole("row", { name: /^user-9 2 .* ago$/ }).waitFor();
    assert.deepEqual(policyFaults(), []);
  });

  test("the list of who is there stays when its stream is cut, and goes on by itself", options, async () => {
    const keys = signingKeys();
    await sluice.stop();
    const again = { port: sluice.port, apiKey: sluice.apiKey, dev: false, flags: ["--signing-keys", keys] };
    sluice = await startSluice(again);
    await reads("room:1", "user-7");
    await open("#/channels/room%3A1");
    const presence = tile("Presence");
    const subject = (name) => presence.getByRole("link", { name, exact: true });
    await subject("user-7").waitFor();
    await sluice.kill();
    await presence.getByRole("alert").filter({ hasText: "Joins and leaves are not shown at the moment" }).waitFor();
    assert.ok(await subject("user-7").isVisible());
    sluice = await startSluice(again);
    await reads("room:1", "user-8");
    await subject("user-8").waitFor();
    await subject("user-7").waitFor({ state: "detached" });
    await presence.getByRole("alert").waitFor({ state: "detached" });
    assert.deepEqual(policyFaults(), []);
  });

  test("who must not see presence is told so, and can try again", options, async () => {
    const stream = (url) => url.searchParams.get("topic") === "$presence";
    const refusal = { title: "Forbidden", status: 403, detail: "a proxy lets nobody see this" };
    await page.route(stream, (route) => route.fulfill({ status: 403, contentType: "application/problem+json", json: refusal }));
    await open("#/channels/room%3A1");
    const presence = tile("Presence");
    await presence.getByRole("alert").filter({ hasText: "a proxy lets nobody see this" }).waitFor();
    await page.unroute(stream);
    await presence.getByRole("button", { name: "Try again" }).click();
    await presence.getByText("1 on all nodes").waitFor();
    await presence.getByRole("alert").waitFor({ state: "detached" });
    assert.deepEqual(policyFaults(), []);
  });

  test("the readers of a channel are counted when they are too many to name", options, async () => {
    const names = Array.from({ length: 1002 }, (_, n) => `user-${n}`);
    const leave = [];
    while (names.length > 0) leave.push(...(await Promise.all(names.splice(0, 10).map((name) => reads("room:1", name)))));
    await open("#/channels/room%3A1");
    const presence = tile("Presence");
    await presence.getByText("1,003 on all nodes").waitFor();
    await presence.getByText("3 more. Beyond 1,000 subjects, only their number is told at once.").waitFor();
    assert.equal(await presence.getByRole("link").count(), 1000);
    for (const leaves of leave.slice(0, 5)) await leaves();
    await presence.getByText("998 on all nodes").waitFor();
    await presence.getByText("1 without a subject").waitFor();
    assert.equal(await presence.getByRole("link").count(), 997);
    assert.deepEqual(policyFaults(), []);
  });

  test("the list of channels is walked with the keyboard, as far as there are any", options, async () => {
    await sluice.publishAll(Array.from({ length: 900 }, (_, n) => ({ channel: `user:${String(n).padStart(3, "0")}`, topic: "news", data: n })));
    await open("#/channels");
    const focused = (wanted) => page.waitForFunction((name) => document.activeElement.innerText === name, wanted);
    await page.getByRole("link", { name: "user:000" }).focus();
    for (const [key, wanted] of [
      ["ArrowDown", "user:001"],
      ["ArrowDown", "user:002"],
      ["ArrowUp", "user:001"],
    ]) {
      await page.keyboard.press(key);
      await focused(wanted);
    }
    for (let n = 0; n < 6; n++) {
      await page.keyboard.press("End"); // goes further than is known, until the end is known
      await page.waitForFunction(() => document.activeElement.tagName === "A");
    }
    await focused("user:899");
    await page.keyboard.press("Home");
    await focused("user:000");
    await page.keyboard.press("PageDown");
    await page.keyboard.press("Enter");
    await page.locator(".detail-head h1").waitFor();
    assert.deepEqual(faults, []);
  });

  test("definitions are added, checked as they are typed, changed and deleted", options, async () => {
    await open("#/definitions");
    await page.getByText("There are no definitions").waitFor();
    await page.getByRole("link", { name: "Add a definition" }).click();
    const verdict = (text) => page.locator(".verdict", { hasText: text }).waitFor();
    await verdict("needs a name");
    await page.getByLabel("Name").fill("pipeline:{runId}");
    await verdict("The server would accept it");
    const document = page.getByLabel("Definition", { exact: true });
    await document.fill('{"topics": {');
    await verdict("Not JSON yet");
    assert.ok(await page.getByRole("button", { name: "Add", exact: true }).isDisabled());
    await document.fill('{"topics": {"status": {"schema": {"type": "objekt"}}}}');
    await verdict("/topics/status/schema");
    await document.fill('{"topics": {"status": {"schema": {"type": "object"}}}}');
    await verdict("The server would accept it");
    assert.deepEqual(await sluice.definitions(), [], "checking stores nothing");
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await page.getByRole("link", { name: "pipeline:{runId}" }).waitFor();
    assert.deepEqual((await sluice.definitions())[0].topics.status.schema, { type: "object" });

    await document.fill('{"topics": {"status": {"schema": {"type": "string"}}}, "strict": true}');
    await page.getByText("Not saved").waitFor();
    await page.getByRole("link", { name: "Overview" }).click();
    await heading("Overview");
    await page.goBack();
    await page.getByText("Not saved").waitFor(); // the draft is still there
    await verdict("The server would accept it");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("Saved. It applies").waitFor();
    assert.equal((await sluice.definitions())[0].strict, true);
    await page.getByRole("button", { name: "Delete…" }).click();
    await page.getByRole("button", { name: "Delete the definition" }).click();
    await page.getByText("There are no definitions").waitFor();
    assert.deepEqual(await sluice.definitions(), []);
    assert.deepEqual(policyFaults(), []);
  });

  test("a definition is written in YAML, and each fault shows where it is", options, async () => {
    await open("#/definitions/%20");
    await page.getByLabel("Name").fill("pipeline:{runId}");
    const document = page.getByLabel("Definition", { exact: true });
    const verdict = page.locator(".verdict");
    const cursor = () => page.evaluate(() => document.activeElement.value?.slice(document.activeElement.selectionStart));
    await document.fill("# what a run tells\ntopics:\n  status: {schema: {type: objekt}}\n  tokens:\nstrikt: true\n");
    await page.getByText("YAML. The server keeps it as JSON").waitFor();
    const fault = (text) => verdict.getByRole("listitem").filter({ hasText: text });
    await fault("/topics/status/schema/type").filter({ hasText: "(line 3, column 21)" }).first().waitFor();
    await fault("/strikt").getByRole("button", { name: "Show it" }).click();
    assert.equal(await cursor(), "strikt: true\n");
    await document.fill("topics:\n  status: {\n");
    await fault("is not YAML").getByRole("button", { name: "Show it" }).click();
    await document.fill('{"topics": {\n  "status": {},\n}}');
    await verdict.filter({ hasText: "Not JSON yet" }).getByRole("button", { name: "Show it" }).click();
    assert.equal(await cursor(), "}}");
    await document.fill("# what a run tells\ntopics:\n  status: {schema: {type: object}}\n  tokens:\nstrict: true\n");
    await verdict.filter({ hasText: "The server would accept it." }).waitFor();
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await page.getByRole("link", { name: "pipeline:{runId}" }).waitFor();
    const [saved] = await sluice.definitions();
    assert.deepEqual(saved, { name: "pipeline:{runId}", topics: { status: { schema: { type: "object" } }, tokens: {} }, strict: true });
    assert.deepEqual(JSON.parse(await document.inputValue()), { topics: saved.topics, strict: true });
    assert.deepEqual(policyFaults(), []);
  });

  test("a subject is disconnected, and a token without one revoked", options, async () => {
    const read = async (grant) => {
      const token = await sluice.mint({ channel: "pipeline:run_42", ...grant });
      const response = await fetch(`${sluice.url}/v1/subscribe`, { headers: { Authorization: `Bearer ${token}` } });
      return response.text();
    };
    const ended = [read({ sub: "user-7" }), read({ sub: "user-9" }), read({})];
    await open("#/subscribers");
    await page.getByText("3 streams on this node").waitFor();
    await page.getByRole("button", { name: "Disconnect user-7" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Disconnect", exact: true }).click();
    await page.getByText("1 stream of user-7 ended").waitFor();
    assert.match(await ended[0], /"code":4403/);
    await page.getByRole("button", { name: /^Revoke the token/ }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Revoke the token" }).click();
    await page.getByText(/The token \S+ is revoked/).waitFor();
    assert.match(await ended[2], /"code":4401/);
    await page.getByLabel("Subject").fill("user-9");
    await page.getByLabel("Subject").press("Enter");
    await page.getByRole("button", { name: "Disconnect user-9…" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Disconnect", exact: true }).click();
    assert.match(await ended[1], /"code":4403/);
    await page.getByText("No such stream is open").waitFor();
    await page.goBack(); // to all of them: the address says whose streams are shown
    await page.waitForFunction(() => document.querySelector("[name=sub]").value === "");
    assert.deepEqual(faults, []);
  });

  test("a token is made, inspected and revoked", options, async () => {
    await open("#/tokens");
    await page.getByLabel("Subject").fill("user-7");
    await page.getByLabel("May read").fill("pipeline:* status tokens\nuser:7");
    await page.getByLabel("May publish to").fill("no channel:?");
    await page.getByRole("button", { name: "Make the token" }).click();
    await page.getByRole("alert").filter({ hasText: "400" }).waitFor();
    await page.getByLabel("May publish to").fill("pipeline:run_42 approval");
    await page.getByRole("button", { name: "Make the token" }).click();
    const token = await page.locator(".secret").innerText();
    const use = () => fetch(`${sluice.url}/v1/subscribe?channel=user:7`, { headers: { Authorization: `Bearer ${token}` } });
    const stream = await use();
    assert.equal(stream.status, 200);
    await page.getByRole("button", { name: "Inspect" }).click();
    const inspected = tile("Inspect a token");
    for (const text of ["user-7", "pipeline:* status tokens", "user:7 *", "pipeline:run_42 approval", "EdDSA", "in "]) await inspected.getByText(text).first().waitFor();
    await page.getByLabel("Token, or its id").fill(token);
    await page.getByRole("button", { name: "Revoke…" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Revoke the token" }).click();
    await page.getByText(/The token \S+ is revoked/).waitFor();
    assert.match(await stream.text(), /"code":4401/);
    assert.equal((await use()).status, 401);
    await page.getByLabel("Token", { exact: true }).fill("no.token");
    await inspected.getByText("three parts").waitFor();
    assert.deepEqual(policyFaults(), []);
  });

  test("webhooks are shown as they are", options, async () => {
    const file = join(folder, "webhooks.yaml");
    writeFileSync(file, `webhooks: [{url: "http://127.0.0.1:9/hook", secret: "whsec_${randomBytes(32).toString("base64")}", channels: ["pipeline:*"]}]`, { mode: 0o600 });
    await sluice.stop();
    sluice = await startSluice({ flags: ["--webhooks", file] });
    await page.goto(`${sluice.url}/#/webhooks`);
    const card = tile("http://127.0.0.1:9/hook");
    await card.getByText("Nothing sent yet").waitFor();
    await sluice.setRun("pipeline:run_42", { status: "completed" });
    await card.getByText("Fails").waitFor();
    await card.getByText("connection refused").waitFor();
    assert.deepEqual(faults, []);
  });

  test("works with the keyboard alone", options, async () => {
    await page.goto(sluice.url);
    await heading("Enter an API key");
    const focused = () => page.evaluate(() => document.activeElement.name || document.activeElement.innerText || document.activeElement.id);
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
    for (const name of ["Channels", "Subscribers", "Webhooks", "Node", "Debugger", "Tokens"]) {
      await tabTo(name);
      await page.keyboard.press("Enter");
      await heading(name);
    }
    await tabTo("revoked");
    await page.keyboard.type("some-id");
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.waitForFunction(() => document.activeElement.name === "revoked"); // where it was

    await tabTo("Definitions");
    await page.keyboard.press("Enter");
    await heading("Definitions");
    await tabTo("Add a definition");
    await page.keyboard.press("Enter");
    await tabTo("name");
    await page.keyboard.type("pipeline:{runId}");
    await tabTo("document");
    await page.keyboard.press("Control+A");
    await page.keyboard.type('{"strict": true}');
    await page.locator(".verdict", { hasText: "The server would accept it" }).waitFor();
    await tabTo("Add");
    await page.keyboard.press("Enter");
    await page.getByRole("link", { name: "pipeline:{runId}" }).waitFor();
    assert.deepEqual(
      (await sluice.definitions()).map(({ name, strict }) => [name, strict]),
      [["pipeline:{runId}", true]],
    );
    assert.deepEqual(faults, []);
  });
});
