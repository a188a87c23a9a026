// The package in test runners: what each entry exports there, and the tests of docs/testing.md, as the page has them.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { startSluice } from "../e2e/sluice.js";
import { command, entries, folder, imports, namesExpression, namesOf, node, PATIENCE_MS, require, requires } from "./project.js";

const options = { timeout: PATIENCE_MS };
const page = blocksOf(readFileSync(new URL("../../docs/testing.md", import.meta.url), "utf8"));

/** A test that the names are right. */
const namesTest = (load) =>
  `${load(entries)}test("names", () => expect(${namesExpression(entries)}).toEqual(${JSON.stringify(namesOf(entries))}));\n`;
// Only a test that would never end meets these limits.
const patience = `import { configure } from "@testing-library/react";\nconfigure({ asyncUtilTimeout: ${PATIENCE_MS} });\n`;

const patientConfig = `import config from "./vitest.config.ts";
export default { test: { ...config.test, setupFiles: "./patience.ts", testTimeout: ${PATIENCE_MS} } };\n`;

let env;
let sluice;
before(async () => {
  sluice = await startSluice();
  env = { SLUICE_URL: sluice.url, SLUICE_API_KEY: sluice.apiKey, CI: "1", NO_COLOR: "1" };
});
after(() => sluice.stop());

test("Jest with jsdom, and docs/testing.md", options, async () => {
  const dir = folder("jest", { ...page, "names.test.js": namesTest(requires), "patience.ts": patience });
  const args = ["--ci", "--watchman=false", "--setupFilesAfterEnv=./patience.ts", `--testTimeout=${PATIENCE_MS}`, "--json"];
  passed(JSON.parse(await node([command("jest"), ...args], { cwd: dir, env })));
});

test("Vitest with jsdom, and docs/testing.md", options, async () => {
  const dir = folder("vitest", {
    ...page,
    "names.test.mjs": namesTest(imports),
    "patience.ts": patience,
    "patient.config.ts": patientConfig,
  });
  const args = ["run", "--config=patient.config.ts", "--reporter=json"];
  passed(JSON.parse(await node([command("vitest"), ...args], { cwd: dir, env })));
});

test("docs/testing.md compiles", options, async () => {
  const compilerOptions = {
    ...{ strict: true, exactOptionalPropertyTypes: true, noImplicitOverride: true, noEmit: true, skipLibCheck: true },
    ...{ jsx: "react-jsx", target: "es2022", module: "esnext", moduleResolution: "bundler", types: ["node", "vitest/globals"] },
    lib: ["es2023", "esnext.disposable", "dom", "dom.iterable", "dom.asynciterable"],
  };
  const dir = folder("testing", { ...page, "tsconfig.json": JSON.stringify({ compilerOptions }) });
  await node([require.resolve("typescript/bin/tsc"), "-p", dir]);
});

/** Each of the page's tests has run, and the one of the names. */
function passed({ numPassedTests, numTotalTests }) {
  assert.deepEqual({ numPassedTests, numTotalTests }, { numPassedTests: 3, numTotalTests: 3 });
}

/** The blocks of a page that are files: those whose first line names them, and its JSON, which is package.json. */
function blocksOf(markdown) {
  const files = Array.from(markdown.matchAll(/^```tsx?\n(\/\/ ([\w.-]+)\n.*?)^```/gms), ([, text, name]) => [name, text]);
  return { ...Object.fromEntries(files), "package.json": /^```json\n(.*?)^```/ms.exec(markdown)[1] };
}
