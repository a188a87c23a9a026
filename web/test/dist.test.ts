// What is built, as it is published and served. That it is built from these sources the gate checks.

import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { expect, test } from "vitest";

const { exports: exported } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { exports: object };
const require = createRequire(import.meta.url);
const DIST = new URL("../dist/", import.meta.url);
const read = (name: string): string => readFileSync(new URL(name, DIST), "utf8");
const files = readdirSync(DIST, { recursive: true, encoding: "utf8" }).filter((name) => /\.\w+$/.test(name));
const modules = files.filter((name) => name.endsWith("js"));

test("the served module is the entry for bundlers in one file", async () => {
  const [served, published] = await Promise.all([import("../dist/sluice.js"), import("../dist/index.js")]);
  expect(Object.keys(served)).toEqual(Object.keys(published));
  expect(read("sluice.js")).not.toMatch(/\bimport\b\s*[("'{*]/);
});

test("each entry is there for import and for require, and exports the same by both", async () => {
  const entries = Object.entries(exported).filter(([, conditions]) => typeof conditions === "object"); // the others are data
  expect(entries.length).toBeGreaterThan(0);
  for (const [entry, conditions] of entries) {
    const name = entry.slice("./".length).replace("/", "-") || "index";
    expect(conditions, entry).toEqual({
      require: { types: `./dist/cjs/${name}.d.cts`, default: `./dist/cjs/${name}.cjs` },
      types: `./dist/${name}.d.ts`,
      default: `./dist/${name}.js`,
    });
    const imported = (await import(/* @vite-ignore */ new URL(`${name}.js`, DIST).href)) as object;
    expect(Object.keys(imported).length, entry).toBeGreaterThan(0);
    expect(Object.keys(require(`../dist/cjs/${name}.cjs`) as object).sort(), entry).toEqual(Object.keys(imported).sort());
  }
});

test("only the hooks are for clients alone", () => {
  const hooks = ["cjs/inngest-react.cjs", "cjs/presence-react.cjs", "cjs/react.cjs", "inngest-react.js", "presence-react.js", "react.js"];
  expect(modules.filter((name) => read(name).startsWith('"use client"')).sort()).toEqual(hooks);
});

test("nothing but React is loaded from elsewhere, and for ./inngest what carries a context", () => {
  const loaded = modules.flatMap((name) => [...read(name).matchAll(/\b(?:from\s*|require\()["'`]([^"'`]+)/g)].map((match) => match[1]!));
  expect(new Set(loaded.filter((name) => !name.startsWith("./")))).toEqual(new Set(["react", "node:async_hooks"]));
  expect(modules.filter((name) => read(name).includes("node:async_hooks")).sort()).toEqual(["cjs/inngest.cjs", "inngest.js"]);
});

test("no path of the machine that built it is in it", () => {
  for (const name of files) expect(read(name)).not.toMatch(/sourceMappingURL|file:\/\/|node_modules/);
});
