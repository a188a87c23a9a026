// Measures what a page loads, minified and compressed with gzip -9, and fails beyond the limits.

import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { rolldown } from "rolldown";

const KIB = 1024;
const CORE = "./src/index.ts";
const REACT = "./src/react/index.ts";
const AI = "./src/ai/index.ts";
const PRESENCE = "./src/presence/index.ts";
const PRESENCE_REACT = "./src/presence/react/index.ts";
const SERVER = "./src/server/index.ts";
const INNGEST = "./src/inngest/index.ts";
const INNGEST_REACT = "./src/inngest/react/index.ts";

check("core: dist/sluice.js, all that . exports", 7 * KIB, compressed(readFileSync("dist/sluice.js")));
check("what ./react adds, without React", 2 * KIB, compressed(await bundle(CORE, REACT)) - compressed(await bundle(CORE)));
check("what ./ai adds", 3 * KIB, compressed(await bundle(CORE, AI)) - compressed(await bundle(CORE)));
check("what ./presence adds", KIB, compressed(await bundle(CORE, PRESENCE)) - compressed(await bundle(CORE)));
check(
  "what ./presence/react adds to ./react and ./presence",
  KIB / 2,
  compressed(await bundle(CORE, REACT, PRESENCE, PRESENCE_REACT)) - compressed(await bundle(CORE, REACT, PRESENCE)),
);
check("what ./inngest adds to ./server", 2 * KIB, compressed(await bundle(SERVER, INNGEST)) - compressed(await bundle(SERVER)));
check(
  "what ./inngest/react adds to ./react",
  2 * KIB,
  compressed(await bundled(`${all(REACT)} export { useRealtime as inngests } from "${INNGEST_REACT}";`)) - compressed(await bundle(REACT)),
);

function check(name, maxBytes, bytes) {
  const spare = maxBytes - bytes;
  console.log(`${String(bytes).padStart(5)} B of ${maxBytes} B  ${name}${spare < 0 ? `: ${-spare} B too many` : ""}`);
  if (spare < 0) process.exitCode = 1;
}

function compressed(code) {
  return gzipSync(code, { level: 9 }).byteLength;
}

/** Returns one minified module that exports all that the modules export. */
function bundle(...modules) {
  return bundled(modules.map(all).join("\n"));
}

function all(path) {
  return `export * from "${path}";`;
}

/** Returns the entry and what it imports as one minified module. */
async function bundled(entry) {
  const made = await rolldown({
    input: "entry",
    platform: "browser",
    external: /^(react|node:.*)(\/|$)/,
    transform: { target: "es2022" },
    checks: { moduleLevelDirective: false },
    plugins: [
      {
        name: "entry",
        resolveId: (id) => (id === "entry" ? `${process.cwd()}/entry.js` : null),
        load: (id) => (id === `${process.cwd()}/entry.js` ? entry : null),
      },
    ],
  });
  const { output } = await made.generate({ minify: true });
  await made.close();
  return output[0].code;
}
