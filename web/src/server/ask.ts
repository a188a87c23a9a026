import { orAbort } from "../abort.js";
import { schemaOf, type AnyRef } from "../channel.js";
import { SluiceError } from "../error.js";
import type { Gap, Message, Receipt, Run } from "../message.js";
import { check } from "../schema.js";
import { subscribe } from "../subscribe.js";
import type { CallOptions, Caller } from "./caller.js";
import { within } from "./deadline.js";

export interface AskOptions<Output> extends CallOptions {
  /** The topic of the answer, which may be on another channel. */
  readonly reply: AnyRef<unknown, Output>;
  /** Reports whether a message is the answer. Default: the first message is. */
  readonly match?: ((answer: NoInfer<Output>) => boolean) | undefined;
  /** How long to wait, in milliseconds, including the publish of the question. Default: forever. */
  readonly timeout?: number | undefined;
}

/** The run that asks. */
interface Asker {
  readonly channel: string;
  readonly id: string;
}

/** An answer, which may be any value. */
interface Answer<Output> {
  readonly data: Output;
}

const TERMINAL = ["completed", "failed", "cancelled"];

/** How many messages the server returns at a time. */
const PAGE = 1000;

/** Asks and waits. Only messages after the question can be its answer. */
export async function ask<Output>(
  caller: Caller,
  run: Asker,
  publish: (options: CallOptions) => Promise<Receipt>,
  options: AskOptions<Output>,
): Promise<Output> {
  const { timeout, reply } = options;
  const late = (): SluiceError => new SluiceError("timeout", `No answer came on ${reply.topic} of ${reply.channel} within ${timeout} ms`);
  const { signal, done } = within(timeout, options.signal, late);
  try {
    const { id } = await publish({ signal });
    // Search what the server holds first, so that a run that has ended since still finds its answer.
    const held = await heldAnswer(caller, options, id, signal);
    const { data } = "data" in held ? held : await nextAnswer(caller, run, options, held.position, signal);
    return data;
  } finally {
    done();
  }
}

interface History {
  readonly messages: readonly Message[];
  readonly gap: boolean;
  readonly next: string | null;
}

/** Searches what the server holds for the answer. If there is none, it returns the position that it has reached. */
async function heldAnswer<Output>(
  caller: Caller,
  options: AskOptions<Output>,
  question: string,
  signal: AbortSignal,
): Promise<Answer<Output> | { position: string }> {
  const { reply } = options;
  const path = "/v1/channels/$/messages";
  let position = question;
  for (;;) {
    const page: History = await caller.call({
      ...{ method: "GET", path, once: true, signal },
      query: Object.entries({ channel: reply.channel, topic: reply.topic, after: position, limit: String(PAGE) }),
    });
    if (page.gap) throw gapError(reply.channel);
    for (const message of page.messages) {
      const answer = await orAbort(answerOf(message, options), signal);
      if (answer) return answer;
      position = message.id;
    }
    if (!page.next) return { position };
    position = page.next;
  }
}

/** Waits for the answer among the messages after a position. */
function nextAnswer<Output>(
  caller: Caller,
  run: Asker,
  options: AskOptions<Output>,
  position: string,
  signal: AbortSignal,
): Promise<Answer<Output>> {
  const { reply } = options;
  const { url, apiKey, fetch, policy } = caller;
  return new Promise<Answer<Output>>((resolve, reject) => {
    const subscription = subscribe({
      url,
      fetch,
      token: apiKey,
      channels: [reply.channel, run.channel],
      topics: [reply.topic],
      lastEventId: position,
      reconnectMinMs: policy.minMs,
      reconnectMaxMs: policy.maxMs,
      async onMessage(message: Message) {
        if (message.channel !== reply.channel) return;
        const answer = answerOf(message, options);
        const decides = await answer.catch(() => true); // if match throws, ask rejects with that
        if (decides) end(() => resolve(answer as Promise<Answer<Output>>));
      },
      onRun(state) {
        if (TERMINAL.includes(state.status) && concerns(state, run, reply)) end(() => reject(endError(run, state)));
      },
      onGap({ channel }: Gap) {
        if (channel === reply.channel) end(() => reject(gapError(channel)));
      },
      onStatus(status, { error }) {
        if ((status === "error" || status === "closed") && error) end(() => reject(error));
      },
    });
    // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- what the caller aborted with
    const abort = (): void => end(() => reject(signal.reason));
    function end(settle: () => void): void {
      settle();
      signal.removeEventListener("abort", abort);
      subscription.close();
    }
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort);
  });
}

/** Reports whether a status is that of the asker's run. One without an id counts only if the question and the answer share the asker's channel. */
function concerns({ run_id }: Run, run: Asker, reply: AnyRef): boolean {
  return run_id === undefined ? run.channel === reply.channel : run_id === run.id;
}

/** Returns the answer if the message is one: data of the reply topic that is valid and matches. */
async function answerOf<Output>(message: Message, { reply, match }: AskOptions<Output>): Promise<Answer<Output> | undefined> {
  if (message.kind !== "data" || message.topic !== reply.topic) return undefined;
  const result = await check(schemaOf(reply), message.data);
  if (result.issues || (match && !match(result.value))) return undefined;
  return { data: result.value };
}

function gapError(channel: string): SluiceError {
  return new SluiceError("gap", `Messages of ${channel} are lost that the answer may be among`);
}

function endError({ id }: Asker, { status }: Run): SluiceError {
  return new SluiceError("run-ended", `The run ${id} is ${status}; nobody waits for an answer any more`, { detail: status });
}
