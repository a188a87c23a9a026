/** The rows of a list that are drawn: those that are seen, and some around them. */
export interface Window {
  readonly first: number;
  /** One after the last one. */
  readonly end: number;
}

const AROUND = 8;

/** Returns what is drawn of a list of so many rows. */
export function windowOf(scrollTop: number, height: number, rowHeight: number, size: number): Window {
  const first = Math.max(0, Math.floor(scrollTop / rowHeight) - AROUND);
  const end = Math.min(size, Math.ceil((scrollTop + height) / rowHeight) + AROUND);
  return { first: Math.min(first, Math.max(0, size - 1)), end };
}

/** Returns the row that a key goes to, null if the key is not for moving. */
export function moved(key: string, index: number, size: number, perPage: number): number | null {
  const to = { ArrowDown: index + 1, ArrowUp: index - 1, PageDown: index + perPage, PageUp: index - perPage, Home: 0, End: size - 1 }[key];
  return to === undefined ? null : Math.max(0, Math.min(size - 1, to));
}

/** Returns where to scroll to so that the row is seen. */
export function scrollFor(index: number, scrollTop: number, height: number, rowHeight: number): number {
  const top = index * rowHeight;
  if (top < scrollTop) return top;
  return top + rowHeight > scrollTop + height ? top + rowHeight - height : scrollTop;
}
