// The package in bundles: each is built, and run with Node.js to see what the entries export in it.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import {
  command,
  entries,
  folder,
  forPages,
  imports,
  namesExpression,
  namesOf,
  node,
  PATIENCE_MS,
  require,
  requires,
  tellNames,
} from "./project.js";

const options = { timeout: PATIENCE_MS };
const printed = async (file) => JSON.parse(await node([file]));

test("esbuild: for pages from import, for Node.js from require", options, async () => {
  const { build } = require("esbuild");
  const dir = folder("esbuild", { "page.mjs": tellNames(forPages), "node.cjs": tellNames(entries, requires) });
  const bundle = { bundle: true, logLevel: "silent", absWorkingDir: dir };
  await build({ ...bundle, entryPoints: ["page.mjs"], outfile: "out/page.mjs", format: "esm", platform: "browser" });
  await build({ ...bundle, entryPoints: ["node.cjs"], outfile: "out/node.cjs", format: "cjs", platform: "node" });
  assert.deepEqual(await printed(join(dir, "out/page.mjs")), namesOf(forPages));
  assert.deepEqual(await printed(join(dir, "out/node.cjs")), namesOf(entries));
});

test("webpack: for pages from import and from require, for Node.js from import", options, async () => {
  const webpack = require("webpack");
  const dir = folder("webpack", {
    "import.mjs": tellNames(forPages),
    "require.cjs": tellNames(forPages, requires),
    "node.mjs": tellNames(entries),
  });
  const config = (target, entry) => ({
    mode: "production",
    context: dir,
    target,
    entry,
    output: { path: join(dir, "out"), filename: "[name].cjs" },
  });
  const stats = await new Promise((resolve, reject) => {
    webpack(
      [config("web", { import: "./import.mjs", require: "./require.cjs" }), config("node20", { node: "./node.mjs" })],
      (error, done) => (error ? reject(error) : resolve(done)),
    );
  });
  assert.equal(stats.hasErrors() || stats.hasWarnings(), false, stats.toString());
  assert.deepEqual(await printed(join(dir, "out/import.cjs")), namesOf(forPages));
  assert.deepEqual(await printed(join(dir, "out/require.cjs")), namesOf(forPages));
  assert.deepEqual(await printed(join(dir, "out/node.cjs")), namesOf(entries));
});

test("Vite: for pages, and for Node.js with everything bundled", options, async () => {
  const { build } = await import(pathToFileURL(require.resolve("vite")).href);
  const dir = folder("vite", { "page.mjs": tellNames(forPages), "node.mjs": tellNames(entries), "package.json": '{"type":"module"}' });
  const common = { root: dir, configFile: false, logLevel: "error" };
  await build({
    ...common,
    build: { outDir: "page", rollupOptions: { input: join(dir, "page.mjs"), output: { entryFileNames: "main.mjs" } } },
  });
  await build({
    ...common,
    ssr: { noExternal: true },
    build: { outDir: "node", ssr: "node.mjs", rollupOptions: { output: { entryFileNames: "main.mjs" } } },
  });
  assert.deepEqual(await printed(join(dir, "page/main.mjs")), namesOf(forPages));
  assert.deepEqual(await printed(join(dir, "node/main.mjs")), namesOf(entries));
});

test("Next.js: in a component of the server, and in one of the client", options, async () => {
  // What is for clients alone is only referred to in a component of the server.
  const forServer = entries.filter(({ client }) => !client);
  const pre = (id, those) => `<pre id="${id}">{JSON.stringify(${namesExpression(those)})}</pre>`;
  const dir = folder("next", {
    "package.json": "{}",
    "next.config.mjs":
      "export default { turbopack: { root: import.meta.dirname + '/../..' }, outputFileTracingRoot: import.meta.dirname + '/../..' };\n",
    "app/layout.js": `import { RealtimeProvider } from "@sluicehq/sluice/react";
        export default function Layout({ children }) {
          return <html lang="en"><body><RealtimeProvider url="https://sluice.example.com">{children}</RealtimeProvider></body></html>;
        }\n`,
    "app/page.js": `${imports(forServer)}import Client from "./client";
        export default function Page() {
          return <>${pre("server", forServer)}<Client /></>;
        }\n`,
    "app/client.js": `"use client";\n${imports(forPages)}export default function Client() {
          return ${pre("client", forPages)};
        }\n`,
  });
  await node([command("next"), "build", dir], { cwd: dir, env: { NEXT_TELEMETRY_DISABLED: "1", CI: "1" } });
  const page = readFileSync(join(dir, ".next/server/app/index.html"), "utf8");
  const shown = (id) => JSON.parse(new RegExp(`<pre id="${id}">([^<]*)<`).exec(page)[1].replaceAll("&quot;", '"'));
  assert.deepEqual(shown("server"), namesOf(forServer));
  assert.deepEqual(shown("client"), namesOf(forPages));
});
