import type { InngestFunction } from "inngest";
import type { InngestChannel } from "../channel.js";
import { SluiceError } from "../error.js";
import type { Receipt } from "../message.js";
import type { RunHandle } from "../server/run.js";
import type { NamedChannel } from "../server/token.js";

/** An event, as a run sees it. */
export interface InngestEvent {
  readonly name: string;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- the application knows what its events carry
  readonly data?: any;
}

/** A run of a function. */
export interface InngestRun {
  /** The event that started it. */
  readonly event: InngestEvent;
  /** All events that started it: several, if the function takes them in batches. */
  readonly events: readonly InngestEvent[];
  readonly runId: string;
  /** The `id` that the function was created with. */
  readonly functionId: string;
}

/** Returns the channel that reports on a run, or undefined if none does. */
export type RunChannel = (run: InngestRun) => string | NamedChannel | InngestChannel | undefined;

/** What the hooks of a middleware are given, as far as it is used here. */
export interface Execution {
  readonly ctx: Omit<InngestRun, "functionId">;
  readonly fn: Pick<InngestFunction.Any, "id"> & { readonly opts: { readonly onFailure?: unknown } };
}

/** What Inngest sends when it has cancelled a run, and when it has given up on one. */
export const CANCELLED = "inngest/function.cancelled";
export const FAILED = "inngest/function.failed";

/** The data of these events. */
interface EndingData {
  readonly function_id: string;
  readonly run_id: string;
  readonly event: InngestEvent;
  readonly events?: readonly InngestEvent[];
  readonly error?: { readonly message?: string };
}

/** The end of a run, and how to report it. */
export interface Ending {
  readonly run: InngestRun;
  readonly report: (handle: RunHandle) => Promise<Receipt>;
  /** The application handles it: the execution is that of an `onFailure`. */
  readonly isHandled: boolean;
}

/** Returns the run of an execution. */
export function runOf({ ctx: { event, events, runId }, fn }: Execution): InngestRun {
  return { event, events, runId, functionId: fn.id() };
}

/** Returns the ending that the event of an execution tells of, if that is the end of another run of the same function. */
export function endingOf({ ctx, fn }: Execution, appId: string): Ending | undefined {
  const { name } = ctx.event;
  if (![CANCELLED, FAILED].includes(name)) return undefined;
  const { function_id, run_id: runId, event, events = [event], error } = ctx.event.data as EndingData;
  if (function_id !== fn.id(appId)) return undefined;
  const isFailure = name === FAILED;
  return {
    run: { event, events, runId, functionId: fn.id() },
    report: (handle) => (isFailure ? handle.fail(error?.message) : handle.cancel()),
    isHandled: isFailure && !!fn.opts.onFailure,
  };
}

/** Reports that a run has completed: without its result, if that is too large or cannot be written as JSON. */
export async function complete(handle: RunHandle, result: unknown): Promise<Receipt> {
  try {
    return await handle.complete(result);
  } catch (error) {
    if (error instanceof SluiceError && ["too-large", "malformed"].includes(error.code as string)) return handle.complete();
    throw error;
  }
}
