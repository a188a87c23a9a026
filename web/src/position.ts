/** The life of the log that a position belongs to. Positions of one can be compared; of other forms, none can. */
export function epochOf(position: string): string | undefined {
  return /^(\w+)-\d+$/.exec(position)?.[1];
}

/** Whether a is surely not after b. */
export function covered(a: string, b: string): boolean {
  const epoch = epochOf(a); // what is left has its hyphen for a minus
  return a === b || (!!epoch && epoch === epochOf(b) && +a.slice(epoch.length) >= +b.slice(epoch.length));
}
