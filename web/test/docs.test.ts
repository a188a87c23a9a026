// The pages of the documentation: their TypeScript compiles as it stands, and the tables of options
// and fields have what the types have.

import { readdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, test } from "vitest";
import { subscribe } from "../src/index.js";
import { blocksOf, compile, membersOf, type Block } from "./support/markdown.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
// The matrix compiles and runs the code of testing.md, for which it has Jest, and of nextjs.md.
const DOCS = readdirSync(`${ROOT}docs`).filter((name) => name.endsWith(".md") && !/^(testing|nextjs)\.md$/.test(name));
const PAGES = ["README.md", "web/README.md", ...DOCS.map((name) => `docs/${name}`)];

const textOf = (page: string): string => readFileSync(ROOT + page, "utf8");

test("the TypeScript of every page compiles", () => {
  // Two pages are named README.md.
  const blocks = PAGES.flatMap((page) => blocksOf(page === "web/README.md" ? "web-README.md" : basename(page), textOf(page)));
  expect(blocks.length).toBeGreaterThan(20);
  expect(compile(blocks)).toEqual([]);
});

test("what docs/testing.md makes in place of a server is a stream", async () => {
  const block = blocksOf("testing.md", textOf("docs/testing.md")).find(({ name }) => name === "feed.ts")!;
  const { outputText } = ts.transpileModule(block.text, {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
  });
  const { feed } = (await import(/* @vite-ignore */ `data:text/javascript,${encodeURIComponent(outputText)}`)) as {
    feed: (channel: string, messages: readonly { topic: string; data: unknown }[]) => typeof fetch;
  };
  const messages = [1, 2].map((data) => ({ topic: "status", data }));
  const subscription = subscribe({ url: "https://test.example", channel: "pipeline:42", fetch: feed("pipeline:42", messages) });
  const received: unknown[] = [];
  for await (const message of subscription) {
    received.push(message.kind === "data" && message.data);
    if (received.length === 2) break;
  }
  expect(received).toEqual([1, 2]);
  expect(subscription.getSnapshot().error).toBeNull();
});

test("no block is marked so that it is not compiled", () => {
  for (const page of PAGES) expect(textOf(page), page).not.toMatch(/^ *(```|~~~)(typescript|javascript|jsx?|mjs|mts)\b/m);
});

test.each([
  ["ai.md", "ai/index.ts", { publishAnswer: "AnswerOptions" }],
  ["react.md", "react/index.ts", { Options: "RealtimeOptions", Fields: "Realtime", Messages: "Messages" }],
  ["server.md", "server/index.ts", { Settings: "ServerOptions", "What it does": "SluiceServer", Runs: "RunHandle" }],
])("the tables of docs/%s have what the types have", (page, file, tables) => {
  const inTables = Object.keys(tables).map((heading) => firstColumns(textOf(`docs/${page}`), heading).sort());
  expect(inTables).toEqual(membersOf(file, Object.values(tables)));
});

/** The names in the first columns of the tables below a heading, up to the next one. */
function firstColumns(markdown: string, heading: string): string[] {
  const section = new RegExp(`^#+ ${heading}\\n(.*?)(?=^#|$(?![^]))`, "ms").exec(markdown)?.[1] ?? "";
  const cells = Array.from(section.matchAll(/^\| (`[^|]*) \|/gm), ([, cell]) => cell!);
  return cells.flatMap((cell) => Array.from(cell.matchAll(/`(\w+)[^`]*`/g), ([, name]) => name!));
}

describe("a fault is found out:", () => {
  const named = "```ts\n// channels.ts\nexport const answer = 42;\nexport type Answer = number;\n```\n";

  test.each([
    ["none", `${named}\n\`\`\`tsx\nimport { answer } from "./channels.js";\nexport const page = <p>{answer}</p>;\n\`\`\`\n`, []],
    ["none, of one without a name", `${named}\n\`\`\`ts\nconst next: Answer = answer + 1;\nconsole.log(next);\n\`\`\`\n`, []],
    [
      "a type that does not fit",
      `${named}\n\`\`\`ts\nconsole.log(answer);\nconst text: string = answer;\n\`\`\`\n`,
      ["page.md:9: Type 'number' is not assignable to type 'string'."],
    ],
    [
      "an option that does not exist",
      '```ts\nimport { subscribe } from "@sluicehq/sluice";\n\nsubscribe({ channel: "a", shared: true });\n```\n',
      [expect.stringMatching(/^page.md:4: .*'shared' does not exist/)],
    ],
    ["a file that does not exist", '- so:\n\n  ```ts\n  import "./other.js";\n  ```\n', [expect.stringMatching(/^page.md:4: /)]],
    ["what another page names", `${named}\n\`\`\`ts\nconsole.log(question);\n\`\`\`\n`, ["page.md:8: Cannot find name 'question'."]],
    ["a name given twice", named + named, ["page.md:7: channels.ts is there twice"]],
  ])("%s", (_, markdown, faults) => {
    const other: Block = { page: "other.md", line: 1, name: "a.ts", named: true, text: "export const question = 1;\n" };
    expect(compile([other, ...blocksOf("page.md", markdown)])).toEqual(faults);
  });
});
