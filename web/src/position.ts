/** A position; null or undefined: none. */
export type MaybePosition = string | null | undefined;

/**
 * Returns the epoch of a position: one life of the server's log. Positions of one epoch can be
 * compared. Positions of other forms have none and cannot be compared.
 */
export function epochOf(position: MaybePosition): string | undefined {
  return /^(\w+)-\d+$/.exec(position!)?.[1]; // null reads as a word that does not match
}

/** Reports whether a is certain not to lie after b. */
export function notAfter(a: MaybePosition, b: MaybePosition): boolean {
  const epoch = epochOf(a); // the rest keeps its hyphen, which reads as a minus sign
  return a === b || (!!epoch && epoch === epochOf(b) && +a!.slice(epoch.length) >= +b!.slice(epoch.length));
}
