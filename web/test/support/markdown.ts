// The TypeScript in Markdown pages, and what the compiler says of it.

import { basename, join } from "node:path";
import ts from "typescript";

const WEB = join(import.meta.dirname, "../..");

/** A fenced block of TypeScript. */
export interface Block {
  /** The page, by its file's name. */
  readonly page: string;
  /** The line of the page on which its text begins, from 1. */
  readonly line: number;
  /** Its file: the name that the comment in its first line gives, or one made of the line. */
  readonly name: string;
  /** It has a comment that names it, so that others can import it. */
  readonly named: boolean;
  readonly text: string;
}

/** Finds the blocks of TypeScript in a page. */
export function blocksOf(page: string, markdown: string): Block[] {
  const blocks: Block[] = [];
  for (const found of markdown.matchAll(/^( *)(`{3,}|~{3,})(tsx?)[^\n]*\n(.*?)^\1\2/gms)) {
    const [, indent, , lang, raw] = found;
    const line = markdown.slice(0, found.index).split("\n").length + 1;
    const text = raw!.replaceAll(new RegExp(`^${indent}`, "gm"), "");
    const name = /^\/\/ ([\w.-]+\.tsx?)\b/.exec(text)?.[1];
    blocks.push({ page, line, name: name ?? `line${line}.${lang}`, named: !!name, text });
  }
  return blocks;
}

/**
 * Compiles blocks as they stand: in strict mode, each as a module, against the package's sources
 * and its development dependencies. Nothing is written to disk.
 *
 * Those of one page lie in one folder, so that they can import those that are named. One without a
 * name need not import what the named ones export: it knows all that.
 *
 * @returns what is wrong, each with page and line
 */
export function compile(blocks: readonly Block[]): string[] {
  const files = new Map(blocks.map((block) => [pathOf(block), { block, text: prefix(block, blocks) + block.text }]));
  const faults = blocks.filter((block, i) => blocks.some((other, j) => j < i && pathOf(other) === pathOf(block)));
  if (faults.length) return faults.map(({ page, line, name }) => `${page}:${line}: ${name} is there twice`);
  const host = hostOf(files);
  const program = ts.createProgram([...files.keys()], OPTIONS, host);
  // Not the sources that they import: npm run typecheck does that.
  const diagnostics = [...files.keys()].flatMap((path) => ts.getPreEmitDiagnostics(program, program.getSourceFile(path)));
  return diagnostics.map(({ file, start = 0, messageText }) => {
    const message = ts.flattenDiagnosticMessageText(messageText, "\n");
    const own = file && files.get(file.fileName);
    if (!own) return `${file?.fileName ?? ""}: ${message}`;
    return `${own.block.page}:${own.block.line + file.getLineAndCharacterOfPosition(start).line}: ${message}`;
  });
}

/** A compiler's host, for which these files lie below ROOT. */
function hostOf(files: ReadonlyMap<string, { readonly text: string }>): ts.CompilerHost {
  const host = ts.createCompilerHost(OPTIONS);
  const { fileExists, readFile, getSourceFile, directoryExists } = host;
  host.fileExists = (path) => files.has(path) || fileExists(path);
  host.readFile = (path) => files.get(path)?.text ?? readFile(path);
  host.directoryExists = (path) => path.startsWith(ROOT) || directoryExists!(path);
  host.getSourceFile = (path, version, ...rest) => {
    const own = files.get(path);
    if (own) return ts.createSourceFile(path, own.text, version);
    if (!parsed.has(path)) parsed.set(path, getSourceFile(path, version, ...rest));
    return parsed.get(path);
  };
  return host;
}

/** What was read from disk, so that it is parsed once. */
const parsed = new Map<string, ts.SourceFile | undefined>();

/** Where the blocks seem to lie, so that they find the packages that this one uses. */
const ROOT = join(WEB, "pages");

const OPTIONS: ts.CompilerOptions = {
  strict: true,
  noUncheckedIndexedAccess: true,
  exactOptionalPropertyTypes: true,
  verbatimModuleSyntax: true,
  noUncheckedSideEffectImports: true,
  skipLibCheck: true,
  noEmit: true,
  target: ts.ScriptTarget.ES2022,
  lib: ["lib.es2023.d.ts", "lib.esnext.disposable.d.ts", "lib.dom.d.ts", "lib.dom.iterable.d.ts", "lib.dom.asynciterable.d.ts"],
  module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  moduleDetection: ts.ModuleDetectionKind.Force,
  jsx: ts.JsxEmit.ReactJSX,
  types: ["node"],
  typeRoots: [join(WEB, "node_modules/@types")],
  paths: {
    "@sluicehq/sluice": [join(WEB, "src/index.ts")],
    "@sluicehq/sluice/ai": [join(WEB, "src/ai/index.ts")],
    "@sluicehq/sluice/publish": [join(WEB, "src/publish.ts")],
    "@sluicehq/sluice/react": [join(WEB, "src/react/index.ts")],
    "@sluicehq/sluice/server": [join(WEB, "src/server/index.ts")],
    "@sluicehq/sluice/tabs": [join(WEB, "src/tabs.ts")],
  },
};

function pathOf({ page, name }: Block): string {
  return join(ROOT, basename(page, ".md"), name);
}

/** What stands before a block without a name, on its first line: imports of what the page has named. */
function prefix({ page, named, text }: Block, blocks: readonly Block[]): string {
  if (named) return "";
  const imports = blocks.filter((other) => other.named && other.page === page).map((other) => importOf(other, text));
  return imports.join("");
}

function importOf({ name, text }: Block, user: string): string {
  const exported = Array.from(text.matchAll(/^export (?:async )?(const|function|class|interface|type) (\w+)/gm));
  const wanted = exported.filter(([, , each]) => new RegExp(`\\b${each}\\b`).test(user) && !declares(user, each!));
  if (!wanted.length) return "";
  const names = wanted.map(([, kind, each]) => (/interface|type/.test(kind!) ? `type ${each}` : each));
  return `import { ${names.join(", ")} } from "./${name.replace(/\.tsx?$/, ".js")}"; `;
}

/** Whether a text imports or declares a name itself. */
function declares(text: string, name: string): boolean {
  return new RegExp(`\\b(const|let|function|class)\\s+${name}\\b|import\\s[^;]*\\b${name}\\b[^;]*from`).test(text);
}

/** The names of the members of interfaces that a module of the package exports, what they inherit included. */
export function membersOf(file: string, names: readonly string[]): string[][] {
  const path = join(WEB, "src", file);
  const program = ts.createProgram([path], OPTIONS, hostOf(new Map()));
  const checker = program.getTypeChecker();
  const exported = checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(path)!)!);
  return names.map((name) => {
    const symbol = exported.find((each) => each.name === name)!;
    const own = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
    const members = checker.getDeclaredTypeOfSymbol(own).getProperties();
    return members.map((each) => each.name).sort();
  });
}
