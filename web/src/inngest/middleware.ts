import type { Inngest, Middleware, Realtime } from "inngest";
import type { Receipt } from "../message.js";
import type { RunHandle } from "../server/run.js";
import type { SluiceServer } from "../server/server.js";
import type { Calls } from "./calls.js";
import { accompany } from "./companion.js";
import { complete, endingOf, runOf, type Execution, type InngestRun, type RunChannel } from "./runs.js";

/** Adds `publish` to what functions are given. */
interface WithPublish extends Middleware.BaseMiddleware {
  transformFunctionInput(arg: Middleware.TransformFunctionInputArgs): Middleware.TransformFunctionInputArgs & {
    ctx: Middleware.TransformFunctionInputArgs["ctx"] & { publish: Realtime.TypedPublishFn };
  };
}

/** A middleware for `new Inngest({ middleware })`. */
export type SluiceMiddleware = (new (args: { client: Inngest.Any }) => WithPublish) & {
  onRegister(args: Middleware.OnRegisterArgs): void;
};

/** The part of a client that publishes. */
interface Publishing {
  readonly inngestApi: { publish(options: unknown, data: unknown): unknown };
}

/**
 * Creates the middleware, which gives functions `publish`, tells a publish that is a step from others,
 * and reports what becomes of runs.
 */
export function createMiddleware(sluice: SluiceServer, calls: Calls, runChannel: RunChannel | undefined): SluiceMiddleware {
  async function report(run: InngestRun, send: (handle: RunHandle) => Promise<Receipt>): Promise<void> {
    const channel = runChannel?.(run);
    if (channel) await send(sluice.run(channel, run.runId));
  }

  // It does not extend the SDK's class, so that nothing of the SDK is loaded, let alone twice.
  return class implements WithPublish {
    declare functionOutputTransform: Middleware.DefaultStaticTransform;
    declare stepOutputTransform: Middleware.DefaultStaticTransform;
    readonly id = "sluice:realtime";
    readonly client: Inngest.Any;
    /** What the function publishes now may not have been published before. */
    #isNew = false;
    /** How many steps the function waits for. */
    #waiting = 0;

    constructor({ client }: { client: Inngest.Any }) {
      this.client = client;
    }

    static onRegister({ client, fn }: Middleware.OnRegisterArgs): void {
      const api = (client as unknown as Publishing).inngestApi;
      const { publish } = api;
      api.publish = (options, data) => calls.run({ isText: typeof data === "string" }, () => publish.call(api, options, data));
      if (!runChannel) return;
      if (fn) return accompany(fn);
      const { createFunction } = client;
      client.createFunction = ((...args) => {
        const created = createFunction(...args);
        accompany(created);
        return created;
      }) as typeof createFunction;
    }

    transformFunctionInput(arg: Middleware.TransformFunctionInputArgs): ReturnType<WithPublish["transformFunctionInput"]> {
      const publish: Realtime.TypedPublishFn = async (ref, data) => {
        if (this.#isNew) await this.client.realtime.publish(ref, data);
      };
      return { ...arg, ctx: { ...arg.ctx, publish } };
    }

    // Inngest runs a function from its first line after each step. Up to the last step that it knows the
    // result of, the function repeats what it has done before. Where several steps are under way at once,
    // nobody can tell.

    onMemoizationEnd(): void {
      this.#isNew = true;
    }

    transformStepInput(arg: Middleware.TransformStepInputArgs): Middleware.TransformStepInputArgs {
      if (++this.#waiting > 1) this.#isNew = true;
      return arg;
    }

    async wrapStep({ next }: Middleware.WrapStepArgs): Promise<unknown> {
      try {
        return await next();
      } finally {
        this.#waiting--;
      }
    }

    wrapStepHandler({ stepInfo, next }: Middleware.WrapStepHandlerArgs): Promise<unknown> {
      return stepInfo.stepType === "realtime.publish" ? calls.run({ step: stepInfo.hashedId }, next) : next();
    }

    async wrapFunctionHandler({ ctx, fn, next }: Middleware.WrapFunctionHandlerArgs): Promise<unknown> {
      const ending = endingOf({ ctx, fn }, this.client.id);
      if (!ending) return next();
      const reported = report(ending.run, ending.report);
      if (!ending.isHandled) return reported; // Inngest calls again if it fails
      await reported.catch((err: unknown) => this.client.logger.error({ err }, "Sluice was not told that a run has failed"));
      return next();
    }

    // The SDK logs what these throw, and goes on.

    onRunStart({ ctx, fn }: Middleware.OnRunStartArgs): Promise<void> | undefined {
      return this.tell({ ctx, fn }, (handle) => handle.start());
    }

    onRunComplete({ ctx, fn, output }: Middleware.OnRunCompleteArgs): Promise<void> | undefined {
      return this.tell({ ctx, fn }, (handle) => complete(handle, output));
    }

    onRunError({ ctx, fn, error, isFinalAttempt }: Middleware.OnRunErrorArgs): Promise<void> | undefined {
      return isFinalAttempt ? this.tell({ ctx, fn }, (handle) => handle.fail(error)) : undefined;
    }

    /** Reports on the run of an execution, unless that is about the ending of another one. */
    private tell(execution: Execution, send: (handle: RunHandle) => Promise<Receipt>): Promise<void> | undefined {
      return endingOf(execution, this.client.id) ? undefined : report(runOf(execution), send);
    }
  };
}
