// What a site's own bundle would be: its code, the SDK, and React as it is published.

import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";

/** Makes one module of the code, which stands in this folder, and what it imports. */
export async function bundle(code) {
  const entry = fileURLToPath(new URL("app.js", import.meta.url)); // it need not exist: from here its imports are found
  const bundled = await rolldown({
    input: entry,
    platform: "browser",
    transform: { define: { "process.env.NODE_ENV": '"development"' } },
    checks: { moduleLevelDirective: false },
    plugins: [{ name: "entry", resolveId: (id) => (id === entry ? id : null), load: (id) => (id === entry ? code : null) }],
  });
  const { output } = await bundled.generate();
  await bundled.close();
  return output[0].code;
}
