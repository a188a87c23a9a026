// The command: npm --prefix examples start progress
//
// It starts Sluice, the server of the example and its page, and prints the address. Ctrl-C stops
// everything.

import { existsSync } from "node:fs";
import { findSluice } from "./sluice.ts";
import { serve, type Example } from "./site.ts";

const name = process.argv[2] ?? "";
const server = new URL(`../${name}/server.ts`, import.meta.url);
if (!/^[a-z]+$/.test(name) || !existsSync(server)) {
  console.error("usage: npm --prefix examples start <progress | fanout | approval | chat>");
  process.exit(2);
}

process.once("SIGINT", () => process.exit(0)).once("SIGTERM", () => process.exit(0)); // each module then ends the processes that it started

const { url, apiKey } = await findSluice();
// The server and its workers find Sluice by these. Vite shows a page only variables that start with
// VITE_, so the page knows the address but never the key.
Object.assign(process.env, { SLUICE_URL: url, SLUICE_API_KEY: apiKey, VITE_SLUICE_URL: url });

const example = (await import(server.href)) as Example;
const address = await serve(example, name, Number(process.env.PORT ?? 0));
console.log(`\n  ${name} is on ${address}\n  Sluice is on ${url}\n\n  Ctrl-C ends both.\n`);
