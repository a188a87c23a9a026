// The part of Node.js's module that is used here. Deno, Bun and edge runtimes have it, too, while the
// types of Node.js would let names into the sources that browsers lack.
declare module "node:async_hooks" {
  export class AsyncLocalStorage<T> {
    getStore(): T | undefined;
    run<R>(store: T, work: () => R): R;
  }
}
