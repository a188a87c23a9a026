// What is built, as it is published and served. That it is built from these sources the gate checks.

import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

const DIST = new URL("../dist/", import.meta.url);
const read = (name: string): string => readFileSync(new URL(name, DIST), "utf8");
const modules = readdirSync(DIST).filter((name) => name.endsWith(".js"));

test("the served module is the entry for bundlers in one file", async () => {
  const [served, published] = await Promise.all([import("../dist/sluice.js"), import("../dist/index.js")]);
  expect(Object.keys(served)).toEqual(Object.keys(published));
  expect(read("sluice.js")).not.toMatch(/\bimport\b\s*[("'{*]/);
});

test("only ./react is for clients alone", () => {
  expect(modules.filter((name) => read(name).startsWith('"use client"'))).toEqual(["react.js"]);
});

test("nothing but React is loaded from elsewhere", () => {
  const loaded = modules.flatMap((name) => [...read(name).matchAll(/\bfrom\s*["'`]([^"'`]+)/g)].map((match) => match[1]!));
  expect(new Set(loaded.filter((name) => !name.startsWith("./")))).toEqual(new Set(["react"]));
});

test("no path of the machine that built it is in it", () => {
  for (const name of readdirSync(DIST)) expect(read(name)).not.toMatch(/sourceMappingURL|file:\/\/|node_modules/);
});
