// Builds dist/ from src/ and page/ from dashboard/, or the folders that $DIST and $PAGE name. What it
// writes depends on the sources and on the pinned versions of the tools alone, and is committed: Go
// embeds sluice.js and the page.

import { readFileSync } from "node:fs";
import { defineConfig } from "rolldown";
import { dts } from "rolldown-plugin-dts";
import { minify as simplify } from "rolldown/utils";
import { minify } from "terser";

const { version, license } = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8"));
const dir = process.env.DIST || "dist";
const banner = `/*! Sluice ${version}, ${license} */`;
const target = "es2022";

// Every byte is one that each page loads: terser writes fewer than the bundler, fewer after the
// bundler has simplified the code, and fewer still with the names that only the SDK itself knows.
const internal =
  /^(members|isRead|alone|transport|silenceMs|onSign|onEvent|untilRoom|room|rest|onApart|schemaOf|caughtUp|revive|onOpen|onEnd|onLost|taken|tear|emptied|pump|isNew|isOver|offer|skip|withdraw|ring|hand|fault|onGrown|resumedAt|fullness|newLoop|dropAll|update|moveTo|show|listeners|isAwaited|hold|grow|isShown|take|event|end|remove|fresh)$/;
const simplest = { module: true, compress: true, mangle: false, codegen: { removeWhitespace: false } };
const smallest = {
  module: true,
  ecma: 2022,
  compress: { passes: 4, unsafe_arrows: true, inline: 1 },
  mangle: { properties: { regex: internal, builtins: true } },
};

/** What every build for bundlers and runtimes has in common: one file for each entry, and what they share. Not minified. */
const entries = {
  input: {
    ai: "src/ai/index.ts",
    index: "src/index.ts",
    inngest: "src/inngest/index.ts",
    "inngest-react": "src/inngest/react/index.ts",
    presence: "src/presence/index.ts",
    "presence-react": "src/presence/react/index.ts",
    publish: "src/publish.ts",
    react: "src/react/index.ts",
    server: "src/server/index.ts",
    tabs: "src/tabs.ts",
  },
  platform: "neutral",
  external: /^(react|inngest|node:.*)(\/|$)/,
  transform: { target },
  checks: { moduleLevelDirective: false }, // the entry of ./react keeps its "use client"
};
const types = { tsconfig: "tsconfig.build.json" };

const preact = JSON.parse(readFileSync(new URL("node_modules/preact/package.json", import.meta.url), "utf8"));
const preactBanner = `/*! Preact ${preact.version}: ${readFileSync("node_modules/preact/LICENSE", "utf8").trim()} */`;

/**
 * The page is one script, which loads the SDK as other pages do, one style sheet, and the files that need no
 * building. What follows presence is a script of its own: it is loaded when a channel is opened.
 */
const page = {
  input: { app: "dashboard/main.tsx", presence: "src/presence/index.ts" },
  platform: "browser",
  external: /^@sluicehq\//,
  transform: { target, jsx: { runtime: "automatic", importSource: "preact" } },
  plugins: [{ name: "files", generateBundle }],
  output: {
    dir: process.env.PAGE || "page",
    cleanDir: true,
    minify: true,
    paths: { "@sluicehq/sluice": "./sdk/sluice.js", "@sluicehq/sluice/presence": "./presence.js" },
    postBanner: ({ name }) => (name === "app" ? `${banner}\n${preactBanner}` : banner),
  },
};

function generateBundle() {
  const read = (name) => readFileSync(`dashboard/${name}`, "utf8");
  const sheets = ["base", "frame", "parts", "overview", "sections", "debugger"];
  this.emitFile({ type: "asset", fileName: "style.css", source: sheets.map((name) => read(`style/${name}.css`)).join("\n") });
  for (const name of ["index.html", "favicon.svg"]) this.emitFile({ type: "asset", fileName: name, source: read(name) });
}

export default defineConfig([
  page,
  {
    ...entries,
    plugins: [dts(types)],
    output: { dir, cleanDir: true, chunkFileNames: "shared-[name].js" },
  },
  {
    // The same for require(), in a folder of its own.
    ...entries,
    output: { dir: `${dir}/cjs`, format: "cjs", entryFileNames: "[name].cjs", chunkFileNames: "shared-[name].cjs" },
  },
  {
    ...entries,
    plugins: [dts({ ...types, emitDtsOnly: true })],
    output: { dir: `${dir}/cjs`, entryFileNames: "[name].cjs", chunkFileNames: "shared-[name].cjs" },
  },
  {
    // For pages without a bundler, as the server hands it out.
    input: { sluice: "src/index.ts" },
    platform: "browser",
    transform: { target, define: { "process.env.NODE_ENV": '"production"' } }, // without advice to developers
    plugins: [{ name: "terser", renderChunk: async (code) => minify((await simplify("sluice.js", code, simplest)).code, smallest) }],
    output: { dir, minify: false, postBanner: banner },
  },
]);
