import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

// A test that needs a document says so in its first line: // @vitest-environment jsdom
export default defineConfig({
  resolve: {
    alias: [
      { find: /^@sluicehq\/sluice$/, replacement: source("index.ts") },
      { find: /^@sluicehq\/sluice\/(ai|inngest|presence|react|server)$/, replacement: source("$1/index.ts") },
      { find: /^@sluicehq\/sluice\/(inngest|presence)\/react$/, replacement: source("$1/react/index.ts") },
      { find: /^@sluicehq\/sluice\/(publish|tabs)$/, replacement: source("$1.ts") },
    ],
  },
  test: {
    environment: "node",
    globals: false,
    restoreMocks: true,
    unstubGlobals: true,
    // Long, since machines may be busy: only a test that would never end meets them.
    testTimeout: 900_000,
    hookTimeout: 900_000,
    include: ["test/**/*.test.{js,ts,tsx}"],
    // Not here: the tests of types, test/*.test-d.ts. They are checked by npm run typecheck.
  },
});

function source(path: string): string {
  return fileURLToPath(new URL(`src/${path}`, import.meta.url));
}
