import { AsyncLocalStorage } from "node:async_hooks";

/** What a request of Inngest's SDK does not tell about the publish that it is made for. */
export interface Call {
  /** The step, under a name that is unique within its run. undefined: the publish is not a step. */
  readonly step?: string | undefined;
  /** The data is a string, which the SDK sends as it is and not as JSON. */
  readonly isText?: boolean | undefined;
}

/** Carries what is known of a publish to the request that is made for it. */
export interface Calls {
  /** Does work that is part of a call. */
  run<R>(call: Call, work: () => R): R;
  /** Returns what is known of the call that is under way. */
  current(): Call;
}

export function createCalls(): Calls {
  const storage = new AsyncLocalStorage<Call>();
  const current = (): Call => storage.getStore() ?? {};
  return { current, run: (call, work) => storage.run({ ...current(), ...call }, work) };
}
