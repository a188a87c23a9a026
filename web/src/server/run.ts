import { nameOf, type AnyRef, type TextRef } from "../channel.js";
import type { Receipt } from "../message.js";
import { ask, type AskOptions } from "./ask.js";
import type { CallOptions, Caller } from "./caller.js";
import { itemOf, jsonOf } from "./item.js";
import type { Source } from "./feed.js";
import { stepKey, stepStreamId } from "./key.js";
import type { Publisher } from "./publish.js";
import { stream } from "./stream.js";
import { checkAttempt } from "./streamoptions.js";
import type { StreamReceipt } from "./text.js";
import type { Grantee } from "./token.js";

export interface RunOptions {
  /**
   * The number of this attempt at the run, from 1, under which it publishes its texts. Each attempt needs a
   * higher number. If your queue counts retries from 0, add 1. Default: for each text, one above the
   * latest attempt that the server knows.
   */
  readonly attempt?: number | undefined;
}

/**
 * One run of a job that a channel reports on. The handle has no state: a program that crashed creates
 * another one with the same ids and runs again, and nothing is published twice.
 */
export interface RunHandle {
  readonly channel: string;
  readonly id: string;
  /** Marks the run as running. After the run has ended this is a `conflict`. */
  start(options?: CallOptions): Promise<Receipt>;
  /** Ends the run. The same end again is a duplicate, a different one a `conflict`. This holds for all three. */
  complete(result?: unknown, options?: CallOptions): Promise<Receipt>;
  /** Ends the run with an error. Subscribers see its message, or the value if it is not an Error. */
  fail(error?: unknown, options?: CallOptions): Promise<Receipt>;
  cancel(options?: CallOptions): Promise<Receipt>;
  /**
   * Publishes the message of a step once. A second call with the same run, step and topic returns the
   * first receipt, whatever its data, for as long as the server remembers it.
   *
   * @param step unique within the run
   */
  publish<Input>(step: string, ref: AnyRef<Input>, data: NoInfer<Input>, options?: CallOptions): Promise<Receipt>;
  /**
   * Publishes the text of a step once. It replaces a text that an earlier attempt has left half-written.
   * If the text is complete, it closes the source and returns the first receipt, as a duplicate. It
   * rejects with `superseded` if a later attempt takes over the text.
   *
   * @param step unique within the run
   */
  stream(step: string, ref: TextRef, source: Source<string | Uint8Array>, options?: CallOptions): Promise<StreamReceipt>;
  /**
   * Publishes a question once and waits for the first matching answer after it. A second call finds
   * the same answer, even one that arrived while the program was down.
   *
   * Messages that break the reply topic's schema are not answers. The wait ends with a
   * {@link SluiceError}: `timeout`; `run-ended` if the run has ended; `gap` if the answer may be among
   * lost messages, so the question must be asked again as another step; or the server's refusal.
   */
  ask<Input, Output>(step: string, ref: AnyRef<Input>, data: NoInfer<Input>, options: AskOptions<Output>): Promise<Output>;
}

/**
 * Creates the handle of a run. It sends nothing to the server.
 *
 * @throws TypeError for an attempt that is not a whole number from 1
 */
export function runOf(caller: Caller, publisher: Publisher, target: Grantee, id: string, { attempt }: RunOptions): RunHandle {
  checkAttempt(attempt);
  const channel = nameOf(target);
  function set(status: string, { signal }: CallOptions = {}, outcome: { result?: unknown; error?: unknown } = {}): Promise<Receipt> {
    return caller.call({
      method: "PUT",
      path: "/v1/channels/$/run",
      query: [["channel", channel]],
      body: jsonOf({ status, run_id: id, ...outcome }),
      once: true,
      signal,
    });
  }
  function publishStep(step: string, ref: AnyRef, data: unknown, options: CallOptions = {}): Promise<Receipt> {
    const item = stepKey(id, step).then((key) => itemOf(ref, data, { key, runId: id }));
    return publisher.publish(ref.channel, item, true, options);
  }
  async function streamStep(
    step: string,
    ref: TextRef,
    source: Source<string | Uint8Array>,
    { signal }: CallOptions = {},
  ): Promise<StreamReceipt> {
    const plan = { streamId: await stepStreamId(id, step), attempt, runId: id, signal, once: true };
    return stream(caller, ref, source, plan) as Promise<StreamReceipt>;
  }
  return {
    channel,
    id,
    start: async (options) => set("running", options),
    complete: async (result, options) => set("completed", options, { result }),
    fail: async (error, options) => set("failed", options, { error: error instanceof Error ? error.message : error }),
    cancel: async (options) => set("cancelled", options),
    publish: publishStep,
    stream: streamStep,
    ask: (step, ref, data, options) => ask(caller, { channel, id }, (call) => publishStep(step, ref, data, call), options),
  };
}
