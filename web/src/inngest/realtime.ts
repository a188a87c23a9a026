import type { Fetch } from "../request.js";
import { createServer } from "../server/server.js";
import { createCalls } from "./calls.js";
import { divert } from "./fetch.js";
import { createMiddleware, type SluiceMiddleware } from "./middleware.js";
import type { RunChannel } from "./runs.js";

export interface SluiceRealtimeOptions {
  /** The address of the Sluice server; a path in it is kept. */
  readonly url: string | URL;
  /** The API key of the Sluice server. */
  readonly apiKey: string;
  /**
   * Names the channel that reports on a run: when it starts, completes, fails for good or is cancelled.
   * What the function returns becomes the `result`, which every subscriber of the channel sees. If it is
   * too large for a message, the run completes without one. Default: no channel reports on a run.
   */
  readonly runChannel?: RunChannel | undefined;
  /** How long tokens for pages are valid, such as `90s`, `10m` or `1h30m`. Default: 10 minutes. */
  readonly ttl?: string | undefined;
  /** Sends the requests to Inngest, and those to Sluice. Default: the runtime's own. */
  readonly fetch?: Fetch | undefined;
}

/** Two options of `new Inngest()`. */
export interface SluiceRealtime {
  readonly fetch: Fetch;
  /** Belongs into the list `middleware`. */
  readonly middleware: SluiceMiddleware;
}

/**
 * Makes the `inngest` package use Sluice for everything that Inngest calls realtime. Nothing else in an
 * application changes. It sends nothing to the server.
 *
 * @throws TypeError for an invalid address or a missing API key
 * @example
 * const { fetch, middleware } = sluiceRealtime({ url, apiKey, runChannel: ({ event }) => `pipeline:${event.data.runId}` });
 * const inngest = new Inngest({ id: "app", fetch, middleware: [middleware] });
 */
export function sluiceRealtime(options: SluiceRealtimeOptions): SluiceRealtime {
  const { url, apiKey, runChannel, ttl, fetch } = options;
  const sluice = createServer({ url, apiKey, fetch });
  const calls = createCalls();
  // Look up the runtime's fetch at each call: tests and instrumentation replace it.
  const send: Fetch = (input, init) => (fetch ?? globalThis.fetch)(input, init);
  return {
    fetch: divert({ sluice, calls, ttl, fetch: send }),
    middleware: createMiddleware(sluice, calls, runChannel),
  };
}
