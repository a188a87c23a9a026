/** Calls a handler of the user. If it throws, or its promise rejects, that is reported like any uncaught error and stops nothing. */
export function call<A extends unknown[]>(handler: ((...args: A) => unknown) | undefined, ...args: A): Promise<unknown> | undefined {
  try {
    const result = handler?.(...args);
    if ((result as Partial<PromiseLike<unknown>> | null | undefined)?.then) return Promise.resolve(result).catch(report);
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
