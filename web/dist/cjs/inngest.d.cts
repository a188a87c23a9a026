import { t as Fetch } from "./shared-request.cjs";
import { s as InngestChannel } from "./shared-channel.cjs";
import { r as NamedChannel } from "./shared-token.cjs";
import { Inngest, Middleware, Realtime } from "inngest";

// src/inngest/runs.d.ts
/** An event, as a run sees it. */
interface InngestEvent {
  readonly name: string;
  readonly data?: any;
}
/** A run of a function. */
interface InngestRun {
  /** The event that started it. */
  readonly event: InngestEvent;
  /** All events that started it: several, if the function takes them in batches. */
  readonly events: readonly InngestEvent[];
  readonly runId: string;
  /** The `id` that the function was created with. */
  readonly functionId: string;
}
/** Returns the channel that reports on a run, or undefined if none does. */
type RunChannel = (run: InngestRun) => string | NamedChannel | InngestChannel | undefined;
/** Adds `publish` to what functions are given. */
interface WithPublish extends Middleware.BaseMiddleware {
  transformFunctionInput(arg: Middleware.TransformFunctionInputArgs): Middleware.TransformFunctionInputArgs & {
    ctx: Middleware.TransformFunctionInputArgs["ctx"] & {
      publish: Realtime.TypedPublishFn;
    };
  };
}
/** A middleware for `new Inngest({ middleware })`. */
type SluiceMiddleware = (new (args: {
  client: Inngest.Any;
}) => WithPublish) & {
  onRegister(args: Middleware.OnRegisterArgs): void;
};
interface SluiceRealtimeOptions {
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
interface SluiceRealtime {
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
declare function sluiceRealtime(options: SluiceRealtimeOptions): SluiceRealtime;
export { type InngestEvent, type InngestRun, type RunChannel, type SluiceMiddleware, type SluiceRealtime, type SluiceRealtimeOptions, sluiceRealtime };