/** The longest wait that a runtime's timer supports. A longer one fires at once. */
const MAX_MS = 2 ** 31 - 1;

/**
 * Does something after any number of milliseconds, even months of them; `Infinity` means never.
 *
 * @returns a function that cancels it
 */
export function after(ms: number, work: () => void): () => void {
  let timer: ReturnType<typeof setTimeout>;
  const next = (): void => {
    const part = Math.min(ms, MAX_MS);
    ms -= part;
    timer = setTimeout(ms ? next : work, part);
  };
  next();
  return () => clearTimeout(timer);
}

/** Waits for a promise of somebody else's code, but at most for ms. After that it throws an Error. */
export async function atMost<T>(ms: number, promise: PromiseLike<T>): Promise<T> {
  let stop!: () => void;
  const late = new Promise<never>((_, reject) => {
    stop = after(ms, () => reject(new Error(`Nothing within ${ms} ms`)));
  });
  return Promise.race([promise, late]).finally(stop);
}
