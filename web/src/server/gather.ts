import { orAbort } from "../abort.js";
import { SluiceError } from "../error.js";
import type { Receipt } from "../message.js";
import { after } from "../timer.js";
import { bytesOf, hasRoom, publishArray } from "./array.js";
import { unanswered, type CallOptions, type Caller } from "./caller.js";
import type { PublishResult } from "./item.js";
import type { Publisher } from "./publish.js";
import { retrying } from "./retry.js";

/** Statuses with which a server or a proxy refuses a request as a whole, perhaps because of one of its messages. */
const REFUSALS = [400, 403, 413, 422];

/** How long messages of other channels wait for a request. */
const HOLD_UP_MS = 1000;

/** One attempt to publish a message. */
interface Entry {
  readonly channel: string;
  /** The item as it is sent; undefined: it is not known to be valid yet. */
  json: string | undefined;
  /** It has a key. */
  readonly once: boolean;
  /** Its caller may leave. */
  readonly abortable: boolean;
  readonly receipt: Promise<Receipt>;
  readonly resolve: (receipt: Receipt) => void;
  readonly reject: (error: unknown) => void;
  /** Sends a batch in the asynchronous context of this message's caller. */
  readonly lead: (batch: Batch) => void;
  /** What it has left with. */
  batch: Batch | undefined;
}

/** What leaves with one request. */
interface Batch {
  readonly entries: readonly Entry[];
  /** Those that have no result yet and whose callers still wait. */
  readonly live: Set<Entry>;
  /** Cancels the request. undefined: none of its callers can leave. */
  readonly cancelled: AbortController | undefined;
}

/**
 * Publishes messages with one request at a time. Messages that are made meanwhile wait, and leave together
 * with the next one. So a message that is alone leaves at once, and the load decides how many share a request.
 *
 * A request that takes long, perhaps because of one channel with slow readers, is overtaken: from then on it
 * holds up only its own channels.
 *
 * Messages share a request and nothing else: each has its own receipt or error, its own retries and its own signal. If a
 * request is refused as a whole, each half of it is sent again, until only the message at fault is
 * refused. A request is cancelled when all of its callers have left.
 *
 * Messages of one channel leave in the order in which they were made, except that a retry goes behind
 * those that wait. A request is made in the asynchronous context of its first message, so that
 * instrumentation of `fetch` takes a message that is alone for what it is.
 */
export class Gatherer implements Publisher {
  readonly #waiting = new Set<Entry>();
  readonly #channels = new Set<string>(); // of all requests under way
  #current: Batch | undefined; // the request under way, unless it has been overtaken

  constructor(private readonly caller: Caller) {}

  async publish(channel: string, item: Promise<string>, once: boolean, { signal }: CallOptions): Promise<Receipt> {
    let place: Entry | undefined = this.#enter(channel, once, !!signal); // before the validation, which may take time
    try {
      const json = await orAbort(item, signal);
      return await retrying(this.caller.policy, { once, signal }, async () => {
        place ??= this.#enter(channel, once, !!signal);
        place.json = json;
        queueMicrotask(() => this.#start()); // by then, what is published at the same time is ready
        try {
          return await orAbort(place.receipt, signal);
        } finally {
          this.#leave(place);
          place = undefined;
        }
      });
    } finally {
      if (place) this.#leave(place);
    }
  }

  #enter(channel: string, once: boolean, abortable: boolean): Entry {
    let resolve!: Entry["resolve"], reject!: Entry["reject"], lead!: Entry["lead"];
    const receipt = new Promise<Receipt>((...settle) => ([resolve, reject] = settle));
    receipt.catch(() => undefined); // its caller may have left
    void new Promise<Batch>((resolve) => (lead = resolve)).then((batch) => this.#send(batch));
    const entry: Entry = { channel, json: undefined, once, abortable, receipt, resolve, reject, lead, batch: undefined };
    this.#waiting.add(entry);
    return entry;
  }

  /** Forgets an entry whose caller does not wait any more. */
  #leave(entry: Entry): void {
    if (this.#waiting.delete(entry)) this.#start(); // others may have waited for it
    const { live, cancelled } = entry.batch ?? {};
    if (live?.delete(entry) && !live.size) cancelled?.abort();
  }

  /** Sends the next batch, unless one is under way or nothing is ready. */
  #start(): void {
    const entries = this.#current ? [] : this.#take();
    const [first] = entries;
    if (!first) return;
    const cancelled = entries.some(({ abortable }) => abortable) ? new AbortController() : undefined;
    const batch: Batch = { entries, live: new Set(entries), cancelled };
    for (const entry of entries) {
      entry.batch = batch;
      this.#channels.add(entry.channel);
    }
    this.#current = batch;
    first.lead(batch);
  }

  /** Takes what is ready and fits into one request. An entry that is not ready holds up those behind it on its channel. */
  #take(): Entry[] {
    const taken: Entry[] = [];
    const heldUp = new Set(this.#channels);
    let bytes = 0;
    for (const entry of this.#waiting) {
      const { channel, json } = entry;
      if (json === undefined) heldUp.add(channel);
      if (json === undefined || heldUp.has(channel)) continue;
      const more = bytesOf(json);
      if (!hasRoom(taken.length, bytes, more)) break;
      bytes += more;
      taken.push(entry);
      this.#waiting.delete(entry);
    }
    return taken;
  }

  async #send(batch: Batch): Promise<void> {
    const stop = after(HOLD_UP_MS, () => this.#pass(batch));
    await this.#deliver(batch.entries, batch);
    stop();
    for (const { channel } of batch.entries) this.#channels.delete(channel);
    this.#pass(batch);
    this.#start();
  }

  /** Lets others go, although the batch may still be under way. */
  #pass(batch: Batch): void {
    if (this.#current !== batch) return;
    this.#current = undefined;
    this.#start();
  }

  /** Sends those entries whose callers still wait, and settles them. It never rejects. */
  async #deliver(entries: readonly Entry[], batch: Batch): Promise<void> {
    const sent = entries.filter((entry) => batch.live.has(entry));
    try {
      const results = await this.#request(sent, batch.cancelled?.signal);
      for (const [i, entry] of sent.entries()) {
        const { resolve, reject } = entry;
        const result = results[i]!;
        batch.live.delete(entry);
        if (result instanceof SluiceError) reject(result);
        else resolve(result);
      }
    } catch (error) {
      const { status, code, cause } = error as SluiceError;
      if (sent.length > 1 && REFUSALS.includes(status)) {
        const middle = sent.length >> 1;
        await this.#deliver(sent.slice(0, middle), batch);
        return this.#deliver(sent.slice(middle), batch);
      }
      for (const entry of sent) {
        batch.live.delete(entry);
        entry.reject(code === "network" ? unanswered(this.caller.url, entry.once, cause) : error);
      }
    }
  }

  /** Makes one request: an item that is alone is not in an array. */
  async #request(entries: readonly Entry[], signal: AbortSignal | undefined): Promise<PublishResult[]> {
    const items = entries.map(({ json }) => json!);
    if (items.length > 1) return publishArray(this.caller, items, true, { signal });
    return Promise.all(
      items.map((body) => this.caller.attempt<Receipt>({ method: "POST", path: "/v1/publish", body, once: true, signal })),
    );
  }
}
