import { orAbort } from "../abort.js";
import type { AnyRef } from "../channel.js";
import { SluiceError } from "../error.js";
import type { Receipt } from "../message.js";
import { endpoint } from "../request.js";
import { STREAMED, type Caller } from "./caller.js";
import { after } from "../timer.js";
import { within } from "./deadline.js";
import type { Feed } from "./feed.js";
import { itemOf, resultOf, type PublishResult } from "./item.js";
import { linesOf } from "./ndjson.js";
import type { StreamOptions } from "./streamoptions.js";

/**
 * How many messages may be unanswered. Their receipts fit into the network's buffers, so nothing
 * blocks if they cannot be read until everything has been sent.
 */
const WINDOW = 512;

/**
 * How long after the first line the answer may take to start. If it takes longer, the runtime or a
 * proxy holds it back until the request is complete, or the server has refused the request and waits
 * for its end. Either way the request ends then, and the rest goes into another one.
 */
const PATIENCE_MS = 1000;

interface Line {
  /** The place of its result. */
  readonly index: number;
  readonly json: string;
}

/** One request of a {@link LineStream}. */
interface Exchange {
  /** The answer has started. */
  answering: boolean;
  /** The answer took too long to start. */
  late: boolean;
  /** The body is complete. */
  sent: boolean;
  /** Is fulfilled when the answer has started or is late. */
  readonly begun: Promise<void>;
  readonly begin: () => void;
  /** Limits the wait for the start of the answer. */
  timer: ReturnType<typeof setTimeout> | undefined;
  /** Restarts the limit for the next line of the answer, once the request is complete. */
  waitAnew: () => void;
}

/** Sends messages as lines of one request as the source yields them, and reads the results meanwhile. */
export class LineStream {
  readonly #results: PublishResult[] = [];
  readonly #unanswered: number[] = []; // the places of the messages sent, in order
  #count = 0; // values from the source
  #line: Promise<Line | undefined> | undefined; // the next one
  #failure: { error: unknown } | undefined; // of the source
  #duplex = true; // answers arrive while the request is being sent, as far as is known
  #problem: SluiceError | undefined; // the last one that the server answered with
  #onAnswer = (): void => undefined;

  constructor(
    private readonly caller: Caller,
    private readonly ref: AnyRef,
    private readonly feed: Feed<unknown>,
    private readonly options: StreamOptions,
  ) {}

  /** Publishes everything that the source yields. It rejects if the connection breaks, and with what the source throws. */
  async run(): Promise<PublishResult[]> {
    const { signal } = this.options;
    try {
      while (await orAbort(this.#next(), signal)) await this.#exchange();
      if (this.#failure) throw this.#failure.error;
      return this.#results;
    } finally {
      this.feed.close();
    }
  }

  /** Returns the next line without taking it; undefined: there is none. */
  #next(): Promise<Line | undefined> {
    return (this.#line ??= this.#prepare());
  }

  async #prepare(): Promise<Line | undefined> {
    for (;;) {
      const step = await this.feed.next().catch((error: unknown) => {
        this.#failure = { error };
      });
      if (!step || step.done) return undefined;
      const index = this.#count++;
      try {
        return { index, json: await itemOf(this.ref, step.value, { runId: this.options.runId, traceparent: this.options.traceparent }) };
      } catch (error) {
        this.#results[index] = error as SluiceError;
      }
    }
  }

  /** Makes one request and reads its whole answer. */
  async #exchange(): Promise<void> {
    const exchange = newExchange();
    const { signal: outer } = this.options;
    const { timeoutMs } = this.caller;
    const { signal, expire, done } = within(undefined, outer);
    let stop: (() => void) | undefined;
    exchange.waitAnew = () => {
      stop?.();
      stop = after(timeoutMs, () => expire(new Error(`no answer within ${timeoutMs} ms`)));
    };
    const body = new ReadableStream<Uint8Array>({ pull: (controller) => this.#pull(controller, exchange) }, { highWaterMark: 0 });
    try {
      const url = endpoint(this.caller.url, "/v1/publish");
      const response = await this.caller.send(url, { method: "POST", body, signal, ...STREAMED }, "application/x-ndjson");
      if (!exchange.sent) this.#duplex = true;
      exchange.answering = true;
      exchange.begin();
      await orAbort(this.#read(response, exchange), signal);
      if (!exchange.sent || this.#unanswered.length) throw this.#brokenOff();
    } catch (cause) {
      if (outer?.aborted) throw outer.reason;
      throw cause instanceof SluiceError ? cause : this.#brokenOff(cause);
    } finally {
      clearTimeout(exchange.timer);
      stop?.();
      done();
    }
  }

  /** Gives the request its next line, or its end. */
  async #pull(controller: ReadableStreamDefaultController<Uint8Array>, exchange: Exchange): Promise<void> {
    const line = await this.#lineFor(exchange);
    if (!line) {
      exchange.sent = true;
      controller.close();
      exchange.waitAnew();
      return;
    }
    this.#line = undefined;
    this.#unanswered.push(line.index);
    exchange.timer ??= setTimeout(() => {
      exchange.late = true;
      this.#duplex = false;
      exchange.begin();
    }, PATIENCE_MS);
    controller.enqueue(new TextEncoder().encode(line.json + "\n"));
  }

  /** Waits for room and for the next line. undefined: the request must end. */
  async #lineFor(exchange: Exchange): Promise<Line | undefined> {
    while (this.#unanswered.length >= WINDOW) {
      if (exchange.answering) await new Promise<void>((resolve) => (this.#onAnswer = resolve));
      else if (this.#duplex && !exchange.late) await exchange.begun;
      else return undefined;
    }
    const line = exchange.answering ? undefined : await Promise.race([this.#next(), exchange.begun]);
    return line ?? (exchange.answering ? this.#next() : undefined);
  }

  async #read({ body }: Response, exchange: Exchange): Promise<void> {
    for await (const line of linesOf(body)) {
      if (exchange.sent) exchange.waitAnew();
      await this.#take(line);
    }
  }

  /** Takes a line of the answer. A line beyond the number of messages is about the whole request. */
  async #take(line: string): Promise<void> {
    const result = await resultOf(JSON.parse(line) as Receipt | { status: number });
    const index = this.#unanswered.shift();
    if (result instanceof SluiceError) this.#problem = result;
    if (index !== undefined) this.#results[index] = result;
    else if (result instanceof SluiceError) throw result;
    this.#onAnswer();
  }

  #brokenOff(cause: unknown = this.#problem): SluiceError {
    const answered = this.#results.filter(Boolean).length;
    return new SluiceError("network", `The stream broke off when ${answered} of ${this.#count} messages had their result`, { cause });
  }
}

function newExchange(): Exchange {
  let begin!: () => void;
  const begun = new Promise<void>((resolve) => (begin = resolve));
  return { answering: false, late: false, sent: false, begun, begin, timer: undefined, waitAnew: () => undefined };
}
