import { call } from "./call.js";
import { SluiceError } from "./error.js";
import type { Source } from "./hub.js";
import { matches, type EventData, type Member, type Replay } from "./member.js";
import type { Gap, Message, Run, RunMessage, TextStream } from "./message.js";
import { covered } from "./position.js";
import { check, type Result, type StandardSchema } from "./schema.js";
import type { Handlers, Snapshot, Status } from "./snapshot.js";
import { incomingText, type IncomingText } from "./text.js";

/**
 * A subscription, which lives until it is closed or refused: as an async iterable, by its handlers
 * and as a store. Messages come in the order of their ids, each once.
 *
 * Without onMessage and without a listener, messages wait for the iteration. When too many wait the
 * connection is left until they were taken, so that neither memory grows nor a message is lost.
 *
 * An iteration throws what the subscription ended with, and closes it when the loop is left.
 */
export interface Subscription<M extends Message = Message> extends AsyncIterable<M> {
  /** The subscription as it is now. */
  getSnapshot(): Snapshot<M>;
  /** Calls listener after each change of the snapshot, until the function that it returns is called. */
  subscribe(listener: () => void): () => void;
  /**
   * Leaves the connection and keeps the position, from which resume() goes on. There is none
   * before the first connection has opened, so that is waited for. Default reason: "".
   */
  pause(reason?: string): void;
  /** Takes a reason to pause away; without another it goes on. */
  resume(reason?: string): void;
  /** Ends the subscription. What waits to be taken is dropped. */
  close(): void;
}

export interface SubscriptionOptions<M extends Message> extends Handlers<M> {
  readonly channels: readonly string[];
  readonly topics: readonly string[] | undefined;
  readonly replay: Replay;
  readonly lastEventId?: string | null | undefined;
  readonly autoCloseOnTerminal?: boolean | undefined;
  schemaOf(channel: string, topic: string): StandardSchema | undefined;
}

/** Messages that may wait to be taken before the connection is left. */
const MAX_WAITING = 1024;

/** The kind of the last piece of a text. */
const END = "datastream-end";

/** Gaps that a snapshot holds. */
const MAX_GAPS = 100;

/** What waits to be handed over. */
interface Item {
  readonly type: string;
  readonly value: EventData;
  readonly id: string;
  /** The text that it begins. */
  readonly text: IncomingText | undefined;
}

/** @param sourceOf finds the source; it is asked at each joining, so that what leads one way comes together again */
export function createSubscription<M extends Message>(sourceOf: () => Source, options: SubscriptionOptions<M>): Subscription<M> {
  const { channels, topics, replay, lastEventId: position = null } = options;
  const listeners = new Set<() => void>();
  const pauses = new Set<string>();
  const texts = new Map<string, IncomingText>();
  const runs = new Map<string, string>(); // the id of the latest status, by channel
  const awaited = new Set<() => void>(); // ends the waits of those who iterate, over the messages or over a text
  let snapshot: Snapshot<M> = {
    status: "connecting",
    pauseReason: null,
    error: null,
    run: { status: "unknown" },
    gaps: [],
    last: null,
    byTopic: {},
    position,
  };
  let alive = true;
  let source: Source | undefined; // while it is joined
  let opened = false;
  let tooMuch = false; // waits
  let reading = 0; // who wait for more of a text
  let terminal: { id: string; caughtUp: boolean } | undefined; // the run is over
  let inbox: Item[] = [];
  let busy = false; // somebody has the first of the inbox
  let iterated = false;
  let offer: { message: M; taken: () => void } | undefined;

  // Being connected

  const member: Member = {
    channels,
    topics,
    replay,
    alone: !channels.length,
    position,
    take,
    lost(error) {
      opened = false;
      update({ error });
    },
    failed: (error, closed) => end(closed ? "closed" : "error", error),
  };

  /** Joins the connection or leaves it, as it should be now. */
  function sync(): void {
    const paused = pauses.size > 0 && member.position !== null;
    const wanted = alive && !paused && !tooMuch;
    if (paused) opened = false;
    if (wanted && !source) (source = sourceOf()).add(member);
    else if (!wanted && source) {
      source.remove(member);
      source = undefined;
    }
    update({});
  }

  function end(status: Status, error: SluiceError | null): void {
    if (!alive) return;
    alive = false;
    sync();
    texts.forEach((text) => text.end());
    update({ status, error, pauseReason: null });
    ring();
  }

  function close(): void {
    inbox = [];
    offer = undefined;
    end("closed", null);
  }

  function update(change: Partial<Snapshot<M>>): void {
    const before = snapshot.status;
    const [pauseReason = null] = pauses;
    const status = pauseReason !== null ? "paused" : opened ? "open" : "connecting";
    snapshot = { ...snapshot, ...(alive && { status, pauseReason }), ...change };
    if (snapshot.status !== before) void call(options.onStatus, snapshot.status, snapshot);
    for (const listener of listeners) void call(listener);
  }

  /** Everything up to there has been handed over. Nobody shows that, so nobody is told. */
  function moveTo(position: string | null): void {
    snapshot = { ...snapshot, position };
  }

  // What arrives

  function take(type: string, value: EventData, id: string): void {
    const { channel } = value;
    if (type === "$open") {
      opened = true;
      if (!inbox.length) moveTo(member.position);
      update({ error: null });
      sync();
    } else if (channel) push(type, value, id);
    else if (terminal && [":", "$position"].includes(type)) terminal.caughtUp = true;
    void pump();
  }

  function push(type: string, value: EventData, id: string): void {
    const { channel, stream_id } = value;
    if (type === "$run") {
      if (covered(value.id, runs.get(channel) ?? "")) return; // it comes with each connection, and again for who is ahead
      runs.set(channel, value.id);
    } else if (type === "$gap") tear(channel);
    else if (type[0] === "$" || grow(value)) return;
    const text = stream_id ? incomingText(value, waitForText) : undefined;
    if (text && value.kind !== END) texts.set(stream_id!, text);
    inbox.push({ type, value, id, text });
    if (inbox.length > MAX_WAITING && !reading) hold(true);
  }

  /** Leaves the connection while too much waits. */
  function hold(now: boolean): void {
    if (now === tooMuch) return;
    tooMuch = now;
    sync();
  }

  function wait(): Promise<void> {
    return new Promise((resolve) => void awaited.add(resolve));
  }

  /** Who waits for more of a text may be the one for whom the rest waits, so that must not hold it up. */
  async function waitForText(): Promise<void> {
    reading++;
    hold(false);
    await wait();
    reading--;
  }

  /** Adds to a text that has begun. Tells whether it has. */
  function grow(piece: EventData): boolean {
    const text = texts.get(piece.stream_id!);
    if (text) grown(text, text.take(piece));
    if (piece.kind === END) texts.delete(piece.stream_id!);
    return !!text;
  }

  /** Tells what a gap took. A text that lacks something already may have lost its end then: what comes of it yet begins anew. */
  function tear(channel: string): void {
    for (const [name, text] of texts) {
      const before = text.message();
      if (!matches(channel, before.channel)) continue;
      if (before.partial) texts.delete(name);
      grown(text, text.tear());
    }
  }

  function grown(text: IncomingText, chunk: string): void {
    ring();
    if (inbox.slice(+busy).some((item) => item.text === text)) return; // nobody knows of it yet
    const message = text.message() as Extract<M, TextStream>;
    show(message);
    void call(options.onChunk, message, chunk);
  }

  function ring(): void {
    awaited.forEach((resolve) => resolve());
    awaited.clear();
  }

  // Handing over

  /** Hands over what waits, one after the other. */
  async function pump(): Promise<void> {
    if (busy) return;
    busy = true;
    for (let item; (item = inbox[0]); inbox.shift()) {
      const taken = call(hand, item);
      if (taken) await taken;
      moveTo(item.id);
    }
    busy = false;
    if (alive) moveTo(member.position);
    ring();
    const over = terminal && (terminal.caughtUp || covered(terminal.id, member.position ?? ""));
    if (over && options.autoCloseOnTerminal) close();
  }

  /** Hands one item over. A promise is fulfilled once it has been taken. */
  function hand({ type, value, id, text }: Item): Promise<unknown> | undefined {
    if (inbox.length < MAX_WAITING / 4) hold(false);
    if (type === "$gap") {
      const gap = value as unknown as Gap;
      update({ gaps: [...snapshot.gaps, gap].slice(-MAX_GAPS) });
      return call(options.onGap, gap);
    }
    if (type === "$run") {
      const run = { run_id: value.run_id, ...(value.data as Run) };
      terminal = run.status === "running" ? undefined : { id: value.id, caughtUp: value.id === id };
      update({ run });
      return call(options.onRun, run, value as unknown as RunMessage);
    }
    if (text) return deliver(text.message() as M);
    const schema = options.schemaOf(value.channel, type);
    if (!schema) return deliver(value as unknown as M);
    const result = check(schema, value.data);
    return result instanceof Promise ? result.then((late) => judge(value, late)) : judge(value, result);
  }

  function judge(message: EventData, result: Result<unknown>): Promise<unknown> | undefined {
    if (!result.issues) return deliver({ ...message, data: result.value } as unknown as M);
    const error = new SluiceError("invalid-message", `Invalid message of ${message.topic}`, { cause: result.issues });
    update(alive ? { error } : {}); // else it has the error that ended it
    return call(options.onInvalid, error, message);
  }

  function deliver(message: M): Promise<unknown> | undefined {
    show(message);
    const handled = call(options.onMessage, message);
    return iterated || !(options.onMessage ?? listeners.size) ? offerAfter(handled, message) : handled;
  }

  /** Lets the iteration have a message. */
  async function offerAfter(handled: unknown, message: M): Promise<void> {
    await handled;
    await new Promise<void>((taken) => {
      offer = { message, taken };
      ring();
    });
  }

  function show(message: M): void {
    update({ last: message, byTopic: { ...snapshot.byTopic, [message.topic]: message } });
  }

  async function* iterate(): AsyncGenerator<M, undefined> {
    try {
      while (offer ?? (alive || inbox.length)) {
        if (offer) {
          const { message, taken } = offer;
          offer = undefined;
          yield message;
          taken(); // only now it has been dealt with
        } else await wait();
      }
      if (snapshot.error) throw snapshot.error;
    } finally {
      close();
    }
    return undefined;
  }

  sync();

  return {
    getSnapshot: () => snapshot,
    subscribe(listener) {
      listeners.add(listener);
      if (!iterated) offer?.taken();
      return () => void listeners.delete(listener);
    },
    pause(reason = "") {
      pauses.add(reason);
      sync();
    },
    resume(reason = "") {
      pauses.delete(reason);
      sync();
    },
    close,
    [Symbol.asyncIterator]() {
      iterated = true;
      return iterate();
    },
  };
}
