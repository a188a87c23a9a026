// The package's types, as compilers find them by each way of resolving modules. What it declares is
// checked, too; what other packages declare is their affair.

import assert from "node:assert/strict";
import { test } from "node:test";
import { entries, folder, imports, node, PATIENCE_MS, require } from "./project.js";

/** A module that compiles only if each entry exports as a value what it promises, and none is `any`. */
const usesAll = (load) =>
  `${load(entries)}
type IsAny<T> = 0 extends 1 & T ? true : false;
export const any: false[] = [${entries.map((_, i) => `null! as IsAny<typeof m${i}>`).join(", ")}];
export const values: unknown[] = [${entries.flatMap(({ names }, i) => names.map((name) => `m${i}.${name}`)).join(", ")}];
`;

/** As CommonJS says it in TypeScript. */
const importsByRequire = (those) => those.map(({ specifier }, i) => `import m${i} = require("${specifier}");\n`).join("");

const strict = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noEmit: true,
  skipLibCheck: false,
  skipDefaultLibCheck: true,
  target: "es2022",
};
const node20 = { lib: ["es2023", "esnext.disposable"], types: ["node"] }; // without the types of browsers
const browser = { lib: ["es2023", "esnext.disposable", "dom", "dom.iterable", "dom.asynciterable"], types: [] };

const esm = { "index.mts": usesAll(imports) };
const both = { ...esm, "index.cts": usesAll(importsByRequire) };

for (const [compiler, module, moduleResolution, libraries, files] of [
  ["typescript", "node16", "node16", node20, both],
  ["typescript", "nodenext", "nodenext", browser, both],
  ["typescript", "esnext", "bundler", browser, esm],
  ["typescript", "preserve", "bundler", node20, both],
  ["typescript-7", "nodenext", "nodenext", node20, both],
  ["typescript-7", "esnext", "bundler", browser, esm],
]) {
  const { version } = require(`${compiler}/package.json`);
  const where = libraries === browser ? "for browsers" : "for Node.js";
  test(`TypeScript ${version}, moduleResolution ${moduleResolution}, module ${module}, ${where}`, { timeout: PATIENCE_MS }, async () => {
    const compilerOptions = { ...strict, ...libraries, module, moduleResolution };
    const dir = folder(`types-${compiler}-${module}`, {
      ...files,
      "tsconfig.json": JSON.stringify({ compilerOptions, include: ["index.*"] }),
    });
    const tsc = require.resolve(`${compiler}/package.json`).replace(/package\.json$/, "bin/tsc");
    await node([tsc, "--pretty", "false", "-p", dir]).catch((error) => {
      const faults = error.message.split("\n").filter((line) => line.includes("error TS"));
      assert.notEqual(faults.length, 0, error.message);
      assert.deepEqual(
        faults.filter((line) => !/^[^(]*node_modules\/(?!@sluicehq\/)/.test(line)),
        [],
      );
    });
  });
}
