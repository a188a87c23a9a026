import assert from "node:assert/strict";
import { test } from "vitest";
import { createPages, PAGE, type Loaded } from "../../dashboard/channels/pages.js";

/** A server that has so many rows, whose names are their numbers. */
function server(size: number) {
  const asked: number[] = [];
  let fails = false;
  return {
    asked,
    fail: (on: boolean) => (fails = on),
    async load(after: string): Promise<Loaded<number>> {
      const first = after === "" ? 0 : Number(after);
      asked.push(first);
      if (fails) throw new Error("out of order");
      const end = Math.min(size, first + PAGE);
      return { rows: Array.from({ length: end - first }, (_, i) => first + i), next: end < size ? String(end) : null };
    },
  };
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 0));

test("pages are asked for when they are seen", async () => {
  const { asked, load } = server(2.5 * PAGE);
  let changes = 0;
  const pages = createPages(load, () => changes++);
  assert.equal(pages.size(), PAGE, "a page, as far as is known");
  assert.equal(pages.row(0), undefined);
  pages.see(0, 30);
  pages.see(1, 31);
  await settled();
  assert.deepEqual([pages.row(7), pages.size(), pages.complete(), changes], [7, 2 * PAGE, false, 1]);
  pages.see(PAGE - 5, PAGE + 25);
  await settled();
  pages.see(2 * PAGE, 2 * PAGE + 30);
  await settled();
  assert.deepEqual([pages.size(), pages.complete(), pages.row(2 * PAGE + 3)], [2.5 * PAGE, true, 2 * PAGE + 3]);
  assert.deepEqual(asked, [0, PAGE, 2 * PAGE]);
});

test("what is far away is forgotten, and asked for again", async () => {
  const { asked, load } = server(40 * PAGE);
  const pages = createPages(load, () => undefined);
  for (let page = 0; page < 40; page++) {
    pages.see(page * PAGE, page * PAGE + 30);
    await settled();
  }
  const held = Array.from({ length: 40 }, (_, page) => pages.row(page * PAGE)).filter((row) => row !== undefined);
  assert.ok(held.length <= 8, `${held.length} pages are held`);
  assert.equal(pages.row(0), undefined);
  pages.see(0, 30);
  await settled();
  assert.equal(pages.row(0), 0);
  assert.equal(asked.filter((first) => first === 0).length, 2);
});

test("a failure is told, and the rows stay", async () => {
  const { load, fail } = server(10);
  const pages = createPages(load, () => undefined);
  pages.see(0, 9);
  await settled();
  fail(true);
  pages.refresh();
  await settled();
  assert.deepEqual([pages.error(), pages.row(3)], ["out of order", 3]);
  fail(false);
  pages.refresh();
  await settled();
  assert.equal(pages.error(), "");
});

test("an empty list is complete", async () => {
  const pages = createPages(server(0).load, () => undefined);
  pages.see(0, 0);
  await settled();
  assert.deepEqual([pages.size(), pages.complete()], [0, true]);
});
