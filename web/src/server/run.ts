import type { TopicRef } from "../channel.js";
import type { Receipt } from "../message.js";
import { ask, type AskOptions } from "./ask.js";
import type { CallOptions, Caller } from "./caller.js";
import { jsonOf } from "./item.js";
import { stepKey } from "./key.js";
import { publish } from "./publish.js";
import type { NamedChannel } from "./token.js";

/**
 * One run of a job that a channel reports on. It holds no state: a program that crashed makes
 * another one of the same ids and runs again, and what has happened does not happen twice.
 */
export interface RunHandle {
  readonly channel: string;
  readonly id: string;
  /** Says that the run is on. Once it has ended that is a `conflict`. */
  start(options?: CallOptions): Promise<Receipt>;
  /** Ends the run. The same end again is a duplicate, another one a `conflict`; so for all three. */
  complete(result?: unknown, options?: CallOptions): Promise<Receipt>;
  /** Ends the run with an error, of which subscribers see the message, or the value if it is no Error. */
  fail(error?: unknown, options?: CallOptions): Promise<Receipt>;
  cancel(options?: CallOptions): Promise<Receipt>;
  /**
   * Publishes the message of a step, once: made again with the same run, step and topic it returns
   * the first receipt, whatever the data, for as long as the server remembers.
   *
   * @param step is the step's own within the run
   */
  publish<Input>(step: string, ref: TopicRef<string, Input>, data: NoInfer<Input>, options?: CallOptions): Promise<Receipt>;
  /**
   * Publishes a question, once, and waits for the first answer that was published after it and
   * matches. Made again it finds the same answer, also one that came while the program was down.
   *
   * Messages that break the reply topic's schema are not answers. A {@link SluiceError} ends the
   * wait: `timeout`; `run-ended` if the run has ended; `gap` if messages are lost that the answer may
   * be among, so that the question must be asked anew, as another step; or the server's refusal.
   */
  ask<Input, Output>(step: string, ref: TopicRef<string, Input>, data: NoInfer<Input>, options: AskOptions<Output>): Promise<Output>;
}

/** Makes the handle of a run. It asks the server for nothing. */
export function runOf(caller: Caller, target: NamedChannel | string, id: string): RunHandle {
  const channel = typeof target === "string" ? target : target.$name;
  function set(status: string, { signal }: CallOptions = {}, outcome: { result?: unknown; error?: unknown } = {}): Promise<Receipt> {
    const path = `/v1/channels/${encodeURIComponent(channel)}/run`;
    return caller.call({ method: "PUT", path, body: jsonOf({ status, run_id: id, ...outcome }), once: true, signal });
  }
  async function publishStep(step: string, ref: TopicRef, data: unknown, { signal }: CallOptions = {}): Promise<Receipt> {
    return publish(caller, ref, data, { key: await stepKey(id, step), runId: id, signal });
  }
  return {
    channel,
    id,
    start: async (options) => set("running", options),
    complete: async (result, options) => set("completed", options, { result }),
    fail: async (error, options) => set("failed", options, { error: error instanceof Error ? error.message : error }),
    cancel: async (options) => set("cancelled", options),
    publish: publishStep,
    ask: (step, ref, data, options) => ask(caller, { channel, id }, (call) => publishStep(step, ref, data, call), options),
  };
}
