import { backoff } from "../backoff.js";
import { SluiceError } from "../error.js";
import { endpoint, transient } from "../request.js";
import type { Caller } from "./caller.js";
import { wait, within } from "./deadline.js";
import type { Feed } from "./feed.js";
import { pause } from "./retry.js";
import type { TextPlan } from "./streamoptions.js";
import type { StreamReceipt } from "./text.js";
import { TextFeed } from "./textfeed.js";
import { TextRequest } from "./textrequest.js";
import { textState, type TextState } from "./textstate.js";

const PATH = "/v1/publish/$/$/stream";

/** How long an error may wait for the server to end the text. */
const GIVE_UP_MS = 2000;

type Query = Readonly<Record<string, string>>;

/**
 * Publishes one text, in as many requests as it takes. Each request sends the text from some offset to its
 * end. When one breaks off, the publisher asks the server how much it has and continues there. It can,
 * because it keeps the end of the text until the server has it.
 *
 * The server decides who may write a text. When a higher attempt takes over, the request of the lower one
 * is refused as `superseded`. If that one has no request then, it learns so when it asks.
 */
export class TextPublisher {
  readonly #names: Query;
  readonly #text: TextFeed;
  #attempt: number;
  #request: TextRequest | undefined; // the latest
  #confirmed = 0; // how much of the attempt the server is known to have
  #conflict: SluiceError | undefined; // with which the latest request was refused
  #cut = 0; // failures after which the server may yet begin a request of this attempt

  constructor(
    private readonly caller: Caller,
    { channel, topic }: { channel: string; topic: string },
    feed: Feed<unknown>,
    private readonly plan: TextPlan,
    private readonly signal: AbortSignal,
  ) {
    this.#names = { channel, topic, stream_id: plan.streamId ?? crypto.randomUUID() };
    this.#text = new TextFeed(feed, () => this.#room());
    this.#attempt = plan.attempt ?? 1;
  }

  /** Publishes the text. It gives up after as many failures in a row as the policy allows, counted anew whenever the server has got more. */
  async run(): Promise<StreamReceipt> {
    const { policy } = this.caller;
    let reached = 0;
    for (let failures = 0; ; failures++) {
      try {
        return await (this.#request ? this.#goOn() : this.#begin());
      } catch (error) {
        if (this.signal.aborted || this.#text.failure) await this.#giveUp();
        if (this.signal.aborted) throw this.signal.reason;
        if (this.#text.failure) throw this.#text.failure.error;
        if (!(error instanceof SluiceError) || !this.#mayGoOn(error)) throw error;
        if (this.#confirmed > reached) failures = 0;
        reached = Math.max(reached, this.#confirmed);
        if (failures >= policy.retries) throw error;
        await pause(policy, failures, error, this.signal);
      }
    }
  }

  /** Reports whether to go on after a failure. A conflict has several reasons, and is final if {@link #goOn} throws it again. */
  #mayGoOn(error: SluiceError): boolean {
    if (error.code === "network") this.#cut++;
    if (error.code !== "conflict") return transient(error);
    const known = this.#conflict === error;
    this.#conflict = error;
    return !known;
  }

  async #begin(): Promise<StreamReceipt> {
    const { once, attempt } = this.plan;
    const known = once ? await this.#ask() : undefined;
    if (known?.state === "complete") return this.#receiptOf(known);
    if (known && attempt === undefined) this.#attempt = known.attempt + 1;
    return this.#send(0);
  }

  /** Finds out where to go on, and does. */
  async #goOn(): Promise<StreamReceipt> {
    const { backlog } = this.#text;
    const known = await this.#ask();
    const attempt = known?.attempt ?? 0;
    if (attempt > this.#attempt) throw new SluiceError("superseded", `Attempt ${attempt} has taken over the text`, { status: 409 });
    if (!known || attempt < this.#attempt) return this.#sendAll("The server does not know the text any more");
    this.#confirmed = known.offset;
    if (known.state === "complete") return this.#receiptOf(known);
    if (known.state === "aborted") return this.#sendAnew("The server has ended the text as aborted");
    // The conflict may be that the server has less than it said before, or that a request that was cut came so
    // late that it has taken the text from its successor. Otherwise somebody else writes the same attempt. If it
    // is another text, the server sees that: it compares what it has with what is sent from the same offset on.
    if (this.#conflict && known.offset >= this.#request!.offset) {
      const { offset } = this.#request!;
      if (this.#cut > 0 && offset >= backlog.start) {
        this.#cut--;
        return this.#send(offset);
      }
      if (this.plan.attempt !== undefined) throw this.#conflict;
      return this.#sendAnew("Somebody else has published the text");
    }
    if (known.offset < backlog.start) return this.#sendAll("The server has lost some of the text");
    return this.#send(backlog.before(known.offset));
  }

  /** Ends the text as aborted, so that readers need not wait for more. If that fails, the server does it after a while. */
  async #giveUp(): Promise<void> {
    if (!this.#request) return;
    const { signal, done } = within(Math.min(this.caller.timeoutMs, GIVE_UP_MS), undefined);
    const url = this.#url({ ...this.#names, attempt: String(this.#attempt) });
    await this.caller.send(url, { method: "DELETE", signal }).catch(() => {});
    done();
  }

  /** Begins the text again, as the next attempt. */
  #sendAnew(why: string): Promise<StreamReceipt> {
    this.#attempt++;
    this.#cut = 0;
    return this.#sendAll(why);
  }

  /** Sends the text from its beginning, if that is still there. */
  #sendAll(why: string): Promise<StreamReceipt> {
    if (this.#text.backlog.start > 0) throw lostText(`${why}, and its beginning is no longer held here`);
    this.#confirmed = 0;
    return this.#send(0);
  }

  #send(offset: number): Promise<StreamReceipt> {
    this.#conflict = undefined;
    this.#request = new TextRequest(this.caller, this.#text, offset, (signal) => this.#confirm(signal));
    const { runId, traceparent } = this.plan;
    const query = { ...this.#names, ...(runId !== undefined && { run_id: runId }), ...at(this.#attempt, offset) };
    return this.#request.send(this.#url(query), this.signal, traceparent);
  }

  /** Gets the receipt of a complete text. If the server no longer knew it, the offset would be refused. */
  #receiptOf({ attempt, offset }: TextState): Promise<StreamReceipt> {
    const query = Object.entries({ ...this.#names, ...at(attempt, offset) });
    return this.caller.attempt({ method: "POST", path: PATH, query, once: true, signal: this.signal });
  }

  #ask(signal: AbortSignal = this.signal): Promise<TextState | undefined> {
    return textState(this.caller, this.#url(this.#names), signal);
  }

  /**
   * Returns how much of the attempt the server has, which need not be sent again. undefined: it does not
   * say, or has aborted the attempt. It throws if there is no answer.
   */
  async #confirm(signal?: AbortSignal): Promise<number | undefined> {
    const known = await this.#ask(signal).catch((error: unknown) => {
      if (!(error instanceof SluiceError) || error.code === "network") throw error;
    });
    return known?.attempt === this.#attempt && known.state !== "aborted" ? known.offset : undefined;
  }

  /** Waits until the server has more of the text, so that the backlog has room. */
  async #room(): Promise<void> {
    const { backlog } = this.#text;
    const { minMs, maxMs } = this.caller.policy;
    for (let waits = 0; backlog.isFull; waits++) {
      const confirmed = await this.#confirm().catch(() => undefined); // the request fails by itself
      backlog.drop(confirmed ?? 0);
      if (backlog.isFull) await wait(backoff(waits, minMs, maxMs), this.signal);
    }
  }

  #url(query: Query): URL {
    const url = endpoint(this.caller.url, PATH);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    return url;
  }
}

function at(attempt: number, offset: number): Query {
  return { attempt: String(attempt), offset: String(offset) };
}

function lostText(why: string): SluiceError {
  return new SluiceError("text-lost", why);
}
