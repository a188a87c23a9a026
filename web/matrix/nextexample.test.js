// examples/next, as a user would run it: built and started, and while its code is edited.

import assert from "node:assert/strict";
import { readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { launch } from "../e2e/browser.js";
import { converse, send, shown, shows, streamsOf } from "../e2e/chats.js";
import { history, openExample } from "../e2e/examples.js";
import { startModel } from "../e2e/model.js";
import { startProgram } from "../e2e/program.js";
import { startSluice } from "../e2e/sluice.js";
import { command, folder, node, PATIENCE_MS, PROJECT } from "./project.js";

const options = { timeout: PATIENCE_MS };
const EXAMPLE = fileURLToPath(new URL("../../examples/next", import.meta.url));
const TEXT = ["Reading what others have written", "Writing", "Done"];

/** The files of the example, but for what was built and installed there. */
function files() {
  const made = /^(node_modules|\.next)\b|^package-lock\.json$|^next-env\.d\.ts$/;
  const names = readdirSync(EXAMPLE, { recursive: true }).filter((name) => !made.test(name) && statSync(join(EXAMPLE, name)).isFile());
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(EXAMPLE, name), "utf8")]));
}

describe("examples/next", options, () => {
  const source = files();
  let browser, sluice, model, dir;

  before(async () => {
    [browser, sluice, model] = await Promise.all([launch(), startSluice(), startModel()]);
    // What it needs is installed in the project, so that is the root.
    dir = folder("example-next", { ...source, "next.config.ts": `export default { turbopack: { root: ${JSON.stringify(PROJECT)} } };\n` });
    // It is built where there is no key. That checks its types, too.
    const printed = await node([command("next"), "build"], { cwd: dir, env: { NEXT_TELEMETRY_DISABLED: "1", CI: "1" } });
    assert.doesNotMatch(printed, /warn/i);
    assert.equal(readFileSync(join(dir, "tsconfig.json"), "utf8"), source["tsconfig.json"], "next build has nothing to change in it");
  });
  after(async () => {
    await browser?.close();
    model?.stop();
    await sluice?.stop();
  });

  /** Starts the example for a test. */
  async function start(t, way, settings) {
    const { PATH } = process.env;
    const example = await startProgram(process.execPath, [command("next"), way, "--hostname", "127.0.0.1", "--port", "0"], {
      cwd: dir,
      env: {
        ...{ PATH, HOME: PROJECT, TMPDIR: dir, NEXT_TELEMETRY_DISABLED: "1" },
        ...{ SLUICE_URL: sluice.url, SLUICE_API_KEY: sluice.apiKey, ...settings },
      },
      addressIn: (output) => /Ready in/.test(output) && /http:\/\/127\.0\.0\.1:\d+/.exec(output)?.[0],
    });
    t.after(async () => assert.deepEqual(await example.stop(), []));
    return example;
  }

  /** Opens the first page, and clicks a button that leads to another one. Returns the name of the channel, too. */
  async function open(example, button, path) {
    const opened = await openExample(browser, example, sluice);
    await opened.page.getByRole("button", { name: button }).click();
    await opened.page.waitForURL(new RegExp(`/${path}/.`));
    return { ...opened, id: opened.page.url().split("/").at(-1) };
  }

  const is = (page, state) => page.locator(`dd[data-state="${state}"]`).waitFor();
  const log = (page) => page.locator(".log li").allInnerTexts();
  const article = (page, text) => page.waitForFunction((wanted) => document.querySelector("article")?.textContent === wanted, text);

  test("a function publishes, an action issues the token, and the page shows the run", options, async (t) => {
    const example = await start(t, "start", model.settings);
    const { page, id, faults, strangers, leaks } = await open(example, "Write a post", "posts");
    const channel = `pipeline:${id}`;
    const answer = await model.asked();
    answer.write("Otters ");
    for (const when of ["at once", "after a reload"]) {
      await is(page, "running");
      await is(page, "open");
      await article(page, "Otters ");
      assert.deepEqual(await log(page), TEXT.slice(0, 2), when);
      await streamsOf(sluice, channel, 1);
      if (when === "at once") await page.reload();
    }
    answer.write("swim.");
    answer.end();
    for (const when of ["at the end", "after a reload"]) {
      await page.getByRole("heading", { name: "Done" }).waitFor();
      await is(page, "completed");
      await is(page, "closed");
      await article(page, "Otters swim.");
      assert.deepEqual(await log(page), TEXT, when);
      await sluice.deserted(channel);
      if (when === "at the end") await page.reload();
    }
    assert.deepEqual(
      (await history(sluice, channel, "status")).map(({ data }) => data.message),
      TEXT,
    );
    assert.deepEqual(faults, []);
    assert.deepEqual(strangers(), []);
    assert.deepEqual(await leaks(), []);
    await page.close();
  });

  test("an answer survives a reload, shows in a second tab, and is stopped there", options, async (t) => {
    const example = await start(t, "start", model.settings);
    const { page, id, faults, strangers, leaks } = await open(example, "Start a chat", "chat");
    const again = () => openExample(browser, { url: page.url() }, sluice);
    await converse({ page, open: again, model, sluice, channel: `chat:${id}` });
    assert.deepEqual(faults, []);
    assert.deepEqual(strangers(), []);
    assert.deepEqual(await leaks(), []);
    await page.close();
  });

  test("without a key, the model is a script", options, async (t) => {
    const example = await start(t, "start", { OPENAI_API_KEY: "" });
    const [post, chat] = await Promise.all([open(example, "Write a post", "posts"), open(example, "Start a chat", "chat")]);
    await send(chat.page, "Who are you?");
    await post.page.getByRole("heading", { name: "Done" }).waitFor();
    await chat.page.getByRole("button", { name: "Send" }).waitFor();
    const [[, said], [, answer]] = await shown(chat.page);
    assert.equal(said, "Who are you?");
    assert.match(answer, /^This text is scripted, [^]* complete\.$/);
    assert.equal(await post.page.locator("article").textContent(), answer);
    assert.deepEqual([...post.faults, ...chat.faults], []);
  });

  test("its code is edited: the pages show it, without a reload and over one stream", options, async (t) => {
    const example = await start(t, "dev", model.settings);

    /** Writes another text into a file until the page shows it, and the old one again. The page stays the same. */
    async function edit(page, file, text, locate) {
      await page.evaluate(() => (window.isOld = true));
      const before = readFileSync(join(dir, file), "utf8");
      assert.ok(before.includes(text), text);
      const shown = () => locate(new RegExp(`^${text} \\d+$`)).waitFor({ timeout: 12_000 });
      // The first time may be before the page is told of edits.
      for (let i = 1, late = true; late; i++) {
        if (i > 10) assert.fail(`${file} was edited, and the page does not show it\n${example.output()}`);
        writeFileSync(join(dir, file), before.replace(text, `${text} ${i}`));
        late = await shown().catch(() => true);
      }
      writeFileSync(join(dir, file), before);
      await locate(text).waitFor();
      assert.equal(await page.evaluate(() => window.isOld), true);
    }

    const chat = await openExample(browser, { url: `${example.url}/chat/edited` }, sluice);
    const said = [["user", "Do otters play?"]];
    await send(chat.page, "Do otters play?");
    const answer = await model.asked();
    answer.write("All day ");
    await shows(chat.page, [...said, ["assistant", "All day "]]);
    await edit(chat.page, "app/chat/[id]/chat.tsx", "Ask something", (text) => chat.page.getByPlaceholder(text, { exact: true }));
    await streamsOf(sluice, "chat:edited", 1);
    answer.write("long.");
    answer.end();
    await chat.page.getByRole("button", { name: "Send" }).waitFor();
    await shows(chat.page, [...said, ["assistant", "All day long."]]);
    await streamsOf(sluice, "chat:edited", 1);
    assert.deepEqual(chat.faults, []);
    await chat.page.close();

    await sluice.setRun("pipeline:edited", { status: "running", run_id: "edited" });
    const run = await openExample(browser, { url: `${example.url}/posts/edited` }, sluice);
    await is(run.page, "running");
    await edit(run.page, "app/posts/[runId]/page.tsx", "A post", (name) => run.page.getByRole("heading", { name, exact: true }));
    await streamsOf(sluice, "pipeline:edited", 1);
    await sluice.publish("pipeline:edited", "status", { message: "Published once" });
    await run.page.getByRole("heading", { name: "Published once" }).waitFor();
    assert.deepEqual(await log(run.page), ["Published once"]);
    assert.deepEqual(run.faults, []);
    await run.page.close();
    assert.doesNotMatch(example.output(), /warn|error|⚠|⨯/i);
  });

  test("it uses the versions that are tested here", () => {
    const { dependencies, devDependencies } = JSON.parse(source["package.json"]);
    const tested = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8")).devDependencies;
    const { "@sluicehq/sluice": sluice, ...others } = { ...dependencies, ...devDependencies };
    assert.equal(sluice, "http://127.0.0.1:8080/sdk/sluice.tgz");
    for (const [name, version] of Object.entries(others)) assert.equal(version, tested[name], name);
  });

  test("docs/nextjs.md has its files as they are", () => {
    const page = readFileSync(new URL("../../docs/nextjs.md", import.meta.url), "utf8");
    const blocks = Array.from(page.matchAll(/^```tsx?\n\/\/ (\S+)\n(.*?)^```/gms));
    assert.equal(blocks.length, page.match(/^```tsx?$/gm).length);
    for (const [, name, text] of blocks) assert.equal(text, source[name], name);
  });
});
