// What axe-core finds wrong with a page for people who do not see it, or do not use a mouse.

import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const source = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Returns the findings, one for each rule, with the first place where it is broken. */
export async function findings(page) {
  await page.evaluate(source); // through the debugger: the policy of the page lets nothing else in
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  return violations.map(({ id, nodes }) => `${id}, ${nodes.length} times: ${nodes[0].target.join(" ")}: ${nodes[0].failureSummary}`);
}
