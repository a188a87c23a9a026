// The listings of Inngest's documentation, in test/listings: with Inngest's package and Sluice in the
// place of its realtime API, and the same without Inngest.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { rolldown } from "rolldown";
import { serve } from "inngest/edge";
import { launch, openPage } from "./browser.js";
import { startInngest } from "./inngest.js";
import { startSluice } from "./sluice.js";

const LISTINGS = fileURLToPath(new URL("../test/listings/", import.meta.url));
const BUILT = fileURLToPath(new URL(`../node_modules/.sluice-listings-${process.pid}/`, import.meta.url)); // from where modules are found
const INNGEST = "http://inngest.test";
const options = { timeout: 600_000 };

/** What a framework makes of an action in a page: a request to the server. */
const ACTIONS = `export const getRealtimeToken = async (runId) => (await fetch("/action/" + runId, { method: "POST" })).json();`;

const APP = (variant) => `
  import { createElement } from "react";
  import { createRoot } from "react-dom/client";
  import { Post } from ${JSON.stringify(`${LISTINGS}${variant}/page.tsx`)};
  createRoot(document.body).render(createElement(Post, { runId: "42" }));`;

describe("the listings of Inngest's documentation", { timeout: 1_200_000 }, () => {
  let browser, sluice;
  before(async () => {
    mkdirSync(BUILT, { recursive: true });
    [browser, sluice] = await Promise.all([launch(), startSluice()]);
    Object.assign(process.env, { SLUICE_URL: sluice.url, SLUICE_API_KEY: sluice.apiKey, INNGEST_DEV: "1", INNGEST_BASE_URL: INNGEST });
  });
  after(async () => {
    await browser?.close();
    await sluice?.kill();
    rmSync(BUILT, { recursive: true, force: true });
  });

  /** Serves the page of a variant and returns what runs on its server. */
  async function open(t, variant) {
    const [app, code] = await Promise.all([
      bundle(APP(variant), { actions: ACTIONS }),
      bundle(["client", "functions", "actions"].map((name) => `export * from ${JSON.stringify(`${LISTINGS}${variant}/${name}.ts`)};`).join("\n"), {
        external: /^(inngest|zod)(\/|$)/,
      }),
    ]);
    const path = `${BUILT}${variant}.js`;
    writeFileSync(path, code);
    const server = await import(pathToFileURL(path).href);
    const site = createServer((request, response) => {
      const [, action] = /^\/action\/(\w+)$/.exec(request.url) ?? [];
      if (action) server.getRealtimeToken(action).then((token) => response.end(JSON.stringify(token)));
      else if (request.url === "/app.js") response.setHeader("Content-Type", "text/javascript").end(app);
      else response.setHeader("Content-Type", "text/html").end('<!doctype html><link rel="icon" href="data:,"><body></body><script type="module" src="/app.js"></script>');
    });
    site.listen(0, "127.0.0.1");
    await once(site, "listening");
    t.after(() => (site.closeAllConnections(), site.close()));
    const { page, faults } = await openPage(browser);
    t.after(() => page.close());
    await page.goto(`http://127.0.0.1:${site.address().port}/`);
    await shows(page, { connection: "open" });
    return { server, page, faults };
  }

  test("with Inngest's package: a failure and a lost answer in the middle, and the page shows each state", options, async (t) => {
    const inngest = startInngest();
    const { fetch } = globalThis;
    globalThis.fetch = (input, init) => (String(input).startsWith(INNGEST) ? inngest.fetch(input, init) : fetch(input, init));
    t.after(() => (globalThis.fetch = fetch));
    const { server, page, faults } = await open(t, "inngest");
    await shows(page, { connection: "open", run: "running", status: "" }); // as soon as it is connected

    let lost = 0;
    inngest.loses = (ops) => Array.isArray(ops) && ops[0].op === "StepRun" && ops[0].displayName === "done" && lost++ === 0;
    await inngest.connect(serve({ client: server.inngest, functions: [server.generatePost] }));
    await server.inngest.send({ name: "app/generate-post", data: { runId: "42", topic: "otters" } });
    await inngest.idle();
    await shows(page, { run: "completed", status: "Done" });

    assert.equal(lost, 2, "the answer that the step is done came twice, once in vain");
    const [{ status, output }] = inngest.runs;
    assert.deepEqual({ status, output }, { status: "completed", output: { words: 3 } });
    const published = await history(sluice, "pipeline:42");
    assert.equal(published.filter(({ data }) => data.message === "Done").length, 1);
    assert.deepEqual(faults, []);
  });

  test("with Sluice alone: the job runs again after a failure", options, async (t) => {
    await sluice.setRun("pipeline:42", { status: "running", run_id: "another" });
    const { server, page, faults } = await open(t, "sluice");
    const event = { data: { runId: "42", topic: "otters" } };
    await assert.rejects(server.generatePost(event), /busy/);
    await shows(page, { run: "running", status: "Writing" });
    await server.generatePost(event);
    await shows(page, { run: "completed", status: "Done" });
    assert.deepEqual(faults, []);
  });

  test("differ from Inngest's in the client and in where useRealtime is from, and without Inngest in imports and the function's wrapper", () => {
    for (const name of ["channels.ts", "actions.ts", "page.tsx"]) assert.equal(bodyOf("sluice", name), bodyOf("inngest", name), name);
    const inner = (variant) => /^ +const ch = [^]*?^ +return .*$/m.exec(bodyOf(variant, "functions.ts"))[0];
    assert.equal(inner("sluice"), inner("inngest"));
    const all = ["channels.ts", "functions.ts", "actions.ts", "page.tsx"].map((name) => read("inngest", name)).join("");
    assert.deepEqual(all.match(/.*sluice.*/g), ['import { useRealtime } from "@sluicehq/sluice/inngest/react";']);
  });
});

const read = (variant, name) => readFileSync(`${LISTINGS}${variant}/${name}`, "utf8");

/** A listing without its imports. */
const bodyOf = (variant, name) => read(variant, name).replace(/^import .*\n/gm, "");

/** Waits until elements of the page have these texts. */
async function shows(page, texts) {
  await page.waitForFunction((wanted) => Object.entries(wanted).every(([id, text]) => document.getElementById(id)?.textContent === text), texts);
}

async function history(sluice, channel) {
  const response = await fetch(`${sluice.url}/v1/channels/${encodeURIComponent(channel)}/messages`, {
    headers: { Authorization: `Bearer ${sluice.apiKey}` },
  });
  return (await response.json()).messages;
}

/** Makes one module of the code, for a page if there are actions. */
async function bundle(code, { actions, external }) {
  const entry = fileURLToPath(new URL("app.js", import.meta.url)); // it need not exist: from here its imports are found
  const bundled = await rolldown({
    input: entry,
    platform: actions ? "browser" : "node",
    external,
    transform: { define: actions ? { "process.env.NODE_ENV": '"development"' } : {} },
    checks: { moduleLevelDirective: false },
    plugins: [
      {
        name: "listings",
        resolveId: (id) => (id === entry ? id : null),
        load: (id) => (id === entry ? code : actions && id.endsWith("/actions.ts") ? actions : null),
      },
    ],
  });
  const { output } = await bundled.generate({ codeSplitting: false });
  await bundled.close();
  return output[0].code;
}
