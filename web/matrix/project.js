// The project in which the matrix loads the package, as somebody's own would be: the tools that
// package.json pins, and beside them what npm pack makes. It lies outside of this package, so that
// nothing is found here by accident.

import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder of the project. */
export const PROJECT = fileURLToPath(new URL("../../.cache/matrix", import.meta.url));

/** What loads an entry may take long on a busy machine: only what would never end meets this. */
export const PATIENCE_MS = 1_800_000;

/** Requires what the project has installed. */
export const require = createRequire(join(PROJECT, "package.json"));

/** For programs that hold a key: bundles for pages leave them out. */
const FOR_SERVERS = ["./server", "./inngest"];

/**
 * The package's entries, as prepare.js has found them.
 *
 * @type {{ entry: string, specifier: string, names: string[], client: boolean }[]}
 */
export const entries = JSON.parse(readFileSync(join(PROJECT, "entries.json"), "utf8"));

/** Those that a page may load. */
export const forPages = entries.filter(({ entry }) => !FOR_SERVERS.includes(entry));

/** What a module should print that tellNames or requireNames makes. */
export const namesOf = (those) => Object.fromEntries(those.map(({ entry, names }) => [entry, names]));

const sorted = "(m) => Object.keys(m).filter((n) => n !== 'default' && n !== 'module.exports').sort()";

/** An expression for the names that the modules m0, m1 … export. */
export const namesExpression = (those) =>
  `Object.fromEntries([${those.map(({ entry }, i) => `["${entry}", m${i}]`).join(", ")}].map(([e, m]) => [e, (${sorted})(m)]))`;

/** The code that imports the entries as m0, m1 … */
export const imports = (those) => those.map(({ specifier }, i) => `import * as m${i} from "${specifier}";\n`).join("");

/** The same with require. */
export const requires = (those) => those.map(({ specifier }, i) => `const m${i} = require("${specifier}");\n`).join("");

/** A module that prints the names that each entry exports. */
export const tellNames = (those, load = imports) => `${load(those)}console.log(JSON.stringify(${namesExpression(those)}));\n`;

/** Makes a folder in the project with these files, in place of what a run before has left. */
export function folder(name, files) {
  const dir = join(PROJECT, "rows", name);
  rmSync(dir, { recursive: true, force: true });
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, file)), { recursive: true });
    writeFileSync(join(dir, file), text);
  }
  return dir;
}

/** Runs a program to its end and returns what it printed. If it fails, so does this, with all that it printed. */
export function run(program, args, { cwd = PROJECT, env = {} } = {}) {
  const { PATH } = process.env;
  return new Promise((resolve, reject) => {
    const options = { cwd, env: { PATH, HOME: PROJECT, ...env }, timeout: PATIENCE_MS, killSignal: "SIGKILL", maxBuffer: 1 << 26 };
    execFile(program, args, options, (error, stdout, stderr) => {
      if (error) reject(new Error(`${program} ${args.join(" ")}: ${error.code ?? error.signal}\n${stdout}${stderr}`));
      else resolve(stdout);
    });
  });
}

/** Runs a program with the Node.js of the gate. */
export const node = (args, options) => run(process.execPath, args, options);

/** The script of a command that the project has installed. */
export const command = (name) => join(PROJECT, "node_modules/.bin", name);

/** Where a package of the project has a file, or why that is not there. */
export function installed(path) {
  const file = join(PROJECT, "node_modules", path);
  return existsSync(file) ? { file } : { skip: `${path} is not to be had for ${process.platform} on ${process.arch}` };
}
