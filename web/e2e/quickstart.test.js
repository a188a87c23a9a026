// docs/quickstart.md, with the package that the server itself has: what it says to install, its
// settings for the compiler, its files, and what the compiler says of them.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { startSluice } from "./sluice.js";

const WEB = fileURLToPath(new URL("..", import.meta.url));
const PAGE = readFileSync(join(WEB, "../docs/quickstart.md"), "utf8");
const options = { timeout: 600_000 };
const run = promisify(execFile);

/** What the quickstart takes from the registry, and what the types of these need. */
const OTHERS = ["zod", "react", "react-dom", "vite", "typescript", "csstype", "undici-types", "@types/node", "@types/react", "@types/react-dom"];

describe("the quickstart", { timeout: 1_200_000 }, () => {
  let sluice, folder;

  before(async () => {
    sluice = await startSluice();
    folder = mkdtempSync(join(tmpdir(), "sluice-quickstart-"));
    writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }));
    assert.ok(PAGE.includes('npm install "$SLUICE_URL/sdk/sluice.tgz" '), "the page installs what the server has");
    // The server is all that is asked: nothing is published, and the package needs no other.
    const args = ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=0", "--registry=http://127.0.0.1:9", `${sluice.url}/sdk/sluice.tgz`];
    await run("npm", args, { cwd: folder, timeout: options.timeout });
    for (const name of OTHERS) {
      const path = join(folder, "node_modules", name);
      mkdirSync(dirname(path), { recursive: true });
      symlinkSync(join(WEB, "node_modules", name), path);
    }
    for (const [, name, text] of PAGE.matchAll(/^```(?:tsx?|json)\n\/\/ ([\w.]+)\n(.*?)^```/gms)) writeFileSync(join(folder, name), text);
  });
  after(async () => {
    await sluice?.stop();
    if (folder) rmSync(folder, { recursive: true, force: true });
  });

  /** Runs tsc as npx would, and returns what it prints. */
  const tsc = () =>
    run(process.execPath, ["node_modules/typescript/bin/tsc"], { cwd: folder, timeout: options.timeout }).then(
      ({ stdout }) => stdout,
      ({ stdout }) => stdout,
    );

  test("compiles with what npm installed from the server, and not if its parts disagree", options, async () => {
    assert.equal(await tsc(), "");
    const definition = join(folder, "channel.ts");
    writeFileSync(definition, readFileSync(definition, "utf8").replace("message: z", "text: z"));
    const faults = await tsc();
    for (const file of ["job.ts", "page.tsx"]) assert.match(faults, new RegExp(`^${file}\\(.*'message'`, "m"));
    assert.ok(!faults.includes("node_modules"), faults);
  });

  test("every entry can be imported", options, async () => {
    const { exports } = JSON.parse(readFileSync(join(folder, "node_modules/@sluicehq/sluice/package.json"), "utf8"));
    const names = Object.keys(exports).filter((name) => !name.includes("json"));
    assert.ok(names.length > 4, names.join());
    const entries = names.map((name) => JSON.stringify("@sluicehq/sluice" + name.slice(1)));
    const code = entries.map((entry) => `if (!Object.keys(await import(${entry})).length) throw ${entry};`).join("\n");
    await run(process.execPath, ["--input-type=module", "-e", code], { cwd: folder, timeout: options.timeout });
  });
});
