import { explain } from "../base/api.js";

/** How many rows a page has. */
export const PAGE = 200;

/** How many pages are kept. What is further away is forgotten, and asked for again when it is seen. */
const KEPT = 8;

/** A list that is longer than anybody wants in memory, read page by page. */
export interface Pages<Row> {
  /** How many rows there are as far as is known, and a page more if there are others. */
  size(): number;
  /** Whether the end is known. */
  complete(): boolean;
  /** Returns a row; undefined: it is not there yet. */
  row(index: number): Row | undefined;
  /** Why the latest request failed, "" if it did not. */
  error(): string;
  /** Says which rows are seen, so that they are there. */
  see(first: number, last: number): void;
  /** Asks again for the pages that are seen. */
  refresh(): void;
  close(): void;
}

export interface Loaded<Row> {
  readonly rows: readonly Row[];
  /** What to ask for next; null: this was the last page. */
  readonly next: string | null;
}

/**
 * @param load asks for the page after a name
 * @param onChange is called whenever a row or the size may have changed
 */
export function createPages<Row>(load: (after: string, signal: AbortSignal) => Promise<Loaded<Row>>, onChange: () => void): Pages<Row> {
  const stop = new AbortController();
  const pages = new Map<number, readonly Row[]>();
  const loading = new Set<number>();
  let after = [""]; // by page: the name that it comes after
  let last: number | undefined; // the length of the last page, once it is known
  let seen = { first: 0, last: 0 }; // pages
  let error = "";

  async function fetchPage(index: number): Promise<void> {
    if (loading.has(index)) return;
    loading.add(index);
    try {
      const { rows, next } = await load(after[index]!, stop.signal);
      if (stop.signal.aborted) return;
      error = "";
      pages.set(index, rows);
      if (next === null) {
        after = after.slice(0, index + 1);
        last = rows.length;
      } else {
        if (index === after.length - 1) last = undefined;
        after[index + 1] = next;
      }
      forget();
      fill(); // where the next page begins may have been what was missing
    } catch (failed) {
      if (stop.signal.aborted) return;
      error = explain(failed);
    } finally {
      loading.delete(index);
    }
    onChange();
  }

  /** Forgets the pages that are furthest from what is seen. */
  function forget(): void {
    const distance = (index: number): number => Math.max(seen.first - index, index - seen.last, 0);
    const furthest = [...pages.keys()].sort((a, b) => distance(b) - distance(a));
    for (const index of furthest.slice(0, Math.max(0, pages.size - KEPT))) if (distance(index) > 1) pages.delete(index);
    for (const index of pages.keys()) if (index >= after.length) pages.delete(index);
  }

  function each(visit: (index: number) => void): void {
    for (let index = seen.first; index <= Math.min(seen.last, after.length - 1); index++) visit(index);
  }

  /** Asks for what is seen and not there. */
  function fill(): void {
    each((index) => {
      if (!pages.has(index)) void fetchPage(index);
    });
  }

  return {
    size: () => (after.length - 1) * PAGE + (last ?? PAGE),
    complete: () => last !== undefined,
    row: (index) => pages.get(Math.floor(index / PAGE))?.[index % PAGE],
    error: () => error,
    see(first, end) {
      seen = { first: Math.floor(first / PAGE), last: Math.floor(end / PAGE) };
      fill();
    },
    refresh: () => each((index) => void fetchPage(index)),
    close: () => stop.abort(),
  };
}
