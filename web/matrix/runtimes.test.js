// The package in the runtimes of JavaScript: what each entry exports there, and a conversation with a server.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { startSluice } from "../e2e/sluice.js";
import { entries, folder, installed, namesOf, PATIENCE_MS, requires, run, tellNames } from "./project.js";

const RUNTIMES = [
  { name: "the Node.js of the gate", file: process.execPath },
  { name: "Node.js 20", ...installed("node-20/bin/node") }, // the oldest that the package promises
  { name: "Node.js 22", ...installed("node-22/bin/node") },
  { name: "Node.js 24", ...installed("node-24/bin/node") },
  { name: "Deno", ...installed("@deno/linux-x64-glibc/deno"), args: ["run", "--allow-all", "--quiet"] },
  { name: "Bun", ...installed("@oven/bun-linux-x64-baseline/bin/bun") },
];

let sluice;
before(async () => (sluice = await startSluice()));
after(() => sluice.stop());

const dir = folder("runtimes", {
  "names.mjs": tellNames(entries),
  "names.cjs": tellNames(entries, requires),
  "data.cjs": 'console.log(require("@sluicehq/sluice/package.json").name);\n',
  "talk.mjs": readFileSync(new URL("talk.js", import.meta.url), "utf8"),
});

for (const [i, { name, file, skip = false, args = [] }] of RUNTIMES.entries()) {
  const output = (script, ...more) => run(file, [...args, join(dir, script), ...more], { env: { DENO_NO_UPDATE_CHECK: "1" } });

  test(`${name}: import, require and a conversation`, { skip, timeout: PATIENCE_MS }, async () => {
    assert.deepEqual(JSON.parse(await output("names.mjs")), namesOf(entries), "import");
    assert.deepEqual(JSON.parse(await output("names.cjs")), namesOf(entries), "require");
    assert.equal(await output("data.cjs"), "@sluicehq/sluice\n");
    assert.deepEqual(JSON.parse(await output("talk.mjs", sluice.url, sluice.apiKey, `talk:${i}`)), [1, 2, "word by wörd"]);
  });
}
