// @vitest-environment jsdom
// What docs/testing.md has in place of a server, in jsdom: with the globals of Node.js, and with those alone that it needs.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { rolldown } from "rolldown";
import ts from "typescript";
import { act } from "react";
import { createRoot } from "react-dom/client";
import { expect, test, vi } from "vitest";
import { RealtimeProvider, useRealtime } from "../src/react/index.js";
import { blocksOf } from "./support/markdown.js";
import { passes } from "./support/patience.js";

const ROOT = join(import.meta.dirname, "../../");

/** It has no types here. */
const UNTYPED: string = "jsdom";

type Feed = (channel: string, messages: readonly { topic: string; data: unknown }[]) => typeof fetch;

/** The code of the page's feed.ts. */
function feedCode(module: ts.ModuleKind): string {
  const block = blocksOf("testing.md", readFileSync(`${ROOT}docs/testing.md`, "utf8")).find(({ name }) => name === "feed.ts")!;
  return ts.transpileModule(block.text, { compilerOptions: { module, target: ts.ScriptTarget.ES2022 } }).outputText;
}

const messages = [{ topic: "status", data: { message: "Fetched" } }];

test("a component shows what it is fed, without TextDecoderStream", async () => {
  vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
  vi.stubGlobal("TextDecoderStream", undefined);
  const { feed } = (await import(/* @vite-ignore */ `data:text/javascript,${encodeURIComponent(feedCode(ts.ModuleKind.ESNext))}`)) as {
    feed: Feed;
  };
  function Status() {
    const { messages: received, error } = useRealtime({ channel: "pipeline:42" });
    return <p>{error?.message ?? JSON.stringify(received.all.map((each) => each.kind === "data" && each.data))}</p>;
  }
  const root = createRoot(document.body.appendChild(document.createElement("div")));
  act(() =>
    root.render(
      <RealtimeProvider url="https://test.example" fetch={feed("pipeline:42", messages)}>
        <Status />
      </RealtimeProvider>,
    ),
  );
  await passes(() => expect(document.body.textContent).toBe('[{"message":"Fetched"}]'));
  act(() => root.unmount());
});

/** Runs the core in a window that has no global of Node.js but those that are given, as Jest's has none. */
async function inWindow(globals: Record<string, unknown>): Promise<Record<string, unknown>> {
  const bundle = await rolldown({ input: `${ROOT}web/src/index.ts`, platform: "browser" });
  const { output } = await bundle.generate({ format: "iife", name: "sluice" });
  await bundle.close();
  const { JSDOM } = (await import(/* @vite-ignore */ UNTYPED)) as {
    JSDOM: new (html: string, options: object) => { window: Window & { eval(code: string): void } };
  };
  const { window } = new JSDOM("", { runScripts: "outside-only", url: "https://page.example" });
  Object.assign(window, globals);
  window.eval(`${output[0].code}; const exports = {}; ${feedCode(ts.ModuleKind.CommonJS)};
    globalThis.result = new Promise((resolve) => {
      const subscription = sluice.subscribe({
        url: "https://test.example", channel: "pipeline:42", fetch: exports.feed("pipeline:42", ${JSON.stringify(messages)}),
        onMessage: ({ data }) => resolve(JSON.stringify({ data })),
        onStatus: (status, { error }) => status === "error" && resolve(JSON.stringify({ code: error.code, message: error.message })),
      });
    });`);
  const result = await (window as unknown as { result: Promise<string> }).result;
  window.close();
  return JSON.parse(result) as Record<string, unknown>;
}

test("these globals are enough", async () => {
  expect(await inWindow({ Response, Headers, ReadableStream, TextEncoder, TextDecoder })).toEqual({ data: messages[0]!.data });
});

test("and without TextDecoder it is said what is missing", async () => {
  expect(await inWindow({ Response, Headers, ReadableStream, TextEncoder, TextDecoder: undefined })).toEqual({
    code: "unsupported",
    message: "This runtime has no TextDecoder",
  });
});
