// Makes the project of the matrix: installs the tools, unless they are there, packs this package,
// installs what was packed, and finds out what its entries are and what they promise to export.

import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const WEB = fileURLToPath(new URL("..", import.meta.url));
const HERE = fileURLToPath(new URL(".", import.meta.url));
const PROJECT = fileURLToPath(new URL("../../.cache/matrix", import.meta.url));

const own = JSON.parse(readFileSync(join(WEB, "package.json"), "utf8"));
const tools = JSON.parse(readFileSync(join(HERE, "package.json"), "utf8"));

for (const peer of Object.keys(own.peerDependencies ?? {})) {
  if (!tools.devDependencies[peer]) throw new Error(`web/matrix/package.json lacks ${peer}, which the package may be used with`);
}
installTools();
installPackage();
writeFileSync(join(PROJECT, "entries.json"), JSON.stringify(entries(), null, 2));

function npm(...args) {
  execFileSync("npm", args, { cwd: PROJECT, stdio: ["ignore", "ignore", "inherit"] });
}

/** Installs what the lock file says, unless the last run did. */
function installTools() {
  mkdirSync(PROJECT, { recursive: true });
  copyFileSync(join(HERE, "package.json"), join(PROJECT, "package.json"));
  const lock = readFileSync(join(HERE, "package-lock.json"), "utf8");
  const stamp = join(PROJECT, "installed");
  if (read(stamp) === lock) return;
  console.log("installing the tools of the matrix, a few minutes the first time");
  rmSync(stamp, { force: true });
  copyFileSync(join(HERE, "package-lock.json"), join(PROJECT, "package-lock.json"));
  npm("ci", "--ignore-scripts", "--no-fund", "--no-audit", "--no-update-notifier", "--loglevel=error");
  writeFileSync(stamp, lock);
}

function read(file) {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

/** Installs what npm pack makes of this package. */
function installPackage() {
  for (const name of readdirSync(PROJECT)) if (name.endsWith(".tgz")) rmSync(join(PROJECT, name));
  rmSync(join(PROJECT, "node_modules", own.name), { recursive: true, force: true });
  npm("pack", WEB, "--silent");
  const packed = readdirSync(PROJECT).find((name) => name.endsWith(".tgz"));
  npm("install", "--no-save", "--ignore-scripts", "--offline", "--loglevel=error", `./${packed}`);
}

/** What exports lists but for data: each entry with the names that its types promise. */
function entries() {
  const require = createRequire(join(PROJECT, "package.json"));
  const ts = require("typescript");
  const dir = join(PROJECT, "node_modules", own.name);
  const { exports } = JSON.parse(readFileSync(join(dir, "package.json"), "utf8"));
  const modules = Object.entries(exports).filter(([, conditions]) => typeof conditions === "object");
  const types = modules.map(([, conditions]) => join(dir, conditions.types));
  const program = ts.createProgram(types, {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    types: [],
  });
  const checker = program.getTypeChecker();
  return modules.map(([entry, conditions], i) => {
    const symbols = checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(types[i])));
    const values = symbols.filter((symbol) => flagsOf(symbol) & ts.SymbolFlags.Value);
    const names = values.map(({ name }) => name).sort();
    if (!names.length) throw new Error(`${entry} exports nothing`);
    const client = readFileSync(join(dir, conditions.default), "utf8").startsWith('"use client"');
    return { entry, specifier: own.name + entry.slice(1), names, client };
  });

  function flagsOf(symbol) {
    return (symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol).flags;
  }
}
