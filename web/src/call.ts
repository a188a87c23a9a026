/** Calls what is not ours. What it throws, or its promise, is reported like any uncaught error and stops nothing. */
export function call<A extends unknown[]>(handler: ((...args: A) => unknown) | undefined, ...args: A): Promise<unknown> | undefined {
  try {
    const result = handler?.(...args);
    if (result instanceof Promise) return result.catch(report);
  } catch (error) {
    report(error);
  }
  return undefined;
}

function report(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
