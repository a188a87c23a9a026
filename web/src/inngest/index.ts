/**
 * Sluice in the place of Inngest's realtime API, for programs on the `inngest` package, from 4.4. It
 * needs `AsyncLocalStorage` of `node:async_hooks`, which Node, Deno, Bun and edge runtimes have.
 *
 * @module
 */
export { sluiceRealtime, type SluiceRealtime, type SluiceRealtimeOptions } from "./realtime.js";
export type { SluiceMiddleware } from "./middleware.js";
export type { InngestEvent, InngestRun, RunChannel } from "./runs.js";
