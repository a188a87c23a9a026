import { askFor } from "./ask.js";
import { backoff } from "./backoff.js";
import { decode, type Close, type StreamEvent } from "./decode.js";
import { SluiceError } from "./error.js";
import type { WireEvent } from "./events.js";
import type { DataMessage } from "./message.js";
import { concerns, type PoolMember } from "./poolmember.js";
import { notAfter, type MaybePosition } from "./position.js";
import { credential, lost, transient, type Fetch, type Token } from "./request.js";
import { after } from "./timer.js";
import type { Transport } from "./transport.js";

/** How to reach a server, and how to keep a connection alive. */
export interface Route {
  readonly url: string | URL | undefined;
  readonly token: Token | undefined;
  readonly tokenTimeoutMs: number | undefined;
  readonly fetch: Fetch | undefined;
  readonly transport: Transport;
  readonly parse: (json: string) => unknown;
  readonly reconnect: boolean;
  readonly reconnectMinMs: number;
  readonly reconnectMaxMs: number;
  /** A connection without a sign of life for this long counts as dead; 0: never; undefined: the server decides. */
  readonly silenceMs: number | undefined;
}

/** How many heartbeat intervals a connection may be silent. */
export const SILENT_BEATS = 2.5;

/** The allowed silence until the server has announced its heartbeat interval. */
export const SILENCE_MS: number = 15_000 * SILENT_BEATS;

/** How long reading may pause before the connection is given up: as long as the server would wait. */
const STALL_MS = 10_000;

/** How many times the usual amount may wait for a member while others keep up. */
export const FAR_BEHIND = 16;

/** A stream from the server that reconnects after each loss, for as long as it has members. */
export interface Connection {
  readonly members: Set<PoolMember>;
  /** Reports whether it has opened and is being read. */
  isRead(): boolean;
  close(): void;
  /** Ends a wait, and replaces a connection that may have died unnoticed: always, or only if it was silent for too long. */
  revive(surely: boolean): void;
}

/** What a connection tells its owner. */
export interface Owner {
  /** It has opened, or is being read again. */
  onOpen(): void;
  /** A member needs its own connection: it is too far behind the others, or what they are sent overlaps what it has had. */
  onApart(member: PoolMember): void;
  /** It has ended. The remaining members were not told: the server refuses what they ask for together. */
  onEnd(connection: Connection, status: number): void;
}

/** Aborts an attempt so that the next one begins at once. */
const RESTART = 0;

/**
 * @param members either all without a position and with the same replay, or all at positions that
 *   can be compared
 */
export function connect(route: Route, members: Set<PoolMember>, owner: Owner): Connection {
  const { token, reconnect } = route;
  let closed = false;
  let attempt: AbortController;
  let wake: (() => void) | undefined; // ends the wait
  let unwatch: (() => void) | undefined;
  let silenceMs: number;
  let lastSign = 0;
  let held = false; // reading is paused
  let start: string; // the position at which the attempt opened
  let openedAt: number; // 0: it has not
  let failures = 0; // in a row
  let bye: Close | undefined; // the data of the server's $close

  const connection: Connection = {
    members,
    isRead: () => openedAt > 0 && !held,
    close() {
      closed = true;
      connection.revive(true);
    },
    revive(surely) {
      if (surely || (silenceMs && Date.now() - lastSign > silenceMs)) attempt.abort(RESTART);
      wake?.();
    },
  };

  async function run(): Promise<void> {
    let renewed = false; // the last 401 led to a new token
    while (!closed && members.size) {
      const error = await once();
      if (openedAt) {
        renewed = false;
        if (bye || Date.now() - openedAt >= route.reconnectMaxMs) failures = 0;
      }
      openedAt = 0;
      if (closed || attempt.signal.reason === RESTART) continue;
      const why = error ?? new SluiceError(bye?.code ?? "network", `Stream ended: ${bye?.reason ?? "early"}`);
      if (why.status === 401 && typeof token === "function" && !renewed) renewed = true;
      else if (!reconnect || (error && !transient(error)) || bye?.reconnect === false) over(why);
      else {
        for (const member of members) member.onLost(why);
        const ms = backoff(failures++, route.reconnectMinMs, route.reconnectMaxMs, bye?.retry_after_ms ?? why.retryAfterMs);
        await new Promise<void>((resolve) => {
          const stop = after(ms, resolve);
          wake = () => resolve(stop());
        });
      }
    }
  }

  /** Makes one connection and reads it to its end. User code may ignore the signal, so an abort does not wait for it. */
  async function once(): Promise<SluiceError | null> {
    attempt = new AbortController();
    const { signal } = attempt;
    openedAt = 0;
    held = false;
    bye = undefined;
    silenceMs = route.silenceMs ?? SILENCE_MS;
    const aborted = new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(lost())));
    try {
      await Promise.race([serve(signal), aborted]);
    } catch (cause) {
      if (!bye) return cause instanceof SluiceError ? cause : new SluiceError("unexpected", String(cause), { cause });
    } finally {
      unwatch?.();
      attempt.abort();
    }
    return null;
  }

  async function serve(signal: AbortSignal): Promise<void> {
    const held = await credential(token, route.tokenTimeoutMs);
    if (signal.aborted) return;
    onSign(); // the response may never arrive, either
    await route.transport({
      ...route,
      ...askFor([...members], route.url ?? held.url),
      token: held.token,
      signal,
      onSign: () => signal.aborted || onSign(),
      onEvent: (event) => signal.aborted || onEvent(event),
      untilRoom: () => untilRoom(signal),
    });
  }

  function onSign(): void {
    lastSign = Date.now();
    unwatch?.();
    if (silenceMs) unwatch = after(silenceMs, () => attempt.abort());
  }

  /**
   * Waits while no member has room. The server and the network then buffer the messages: they can
   * hold more, and most of it would be lost without the connection. If only some members have no
   * room, the others do not wait for them.
   */
  async function untilRoom(signal: AbortSignal): Promise<void> {
    let full: PoolMember[];
    const allFull = (): boolean => (full = [...members].filter((member) => !!member.room(1))).length === members.size;
    while (!signal.aborted && members.size && allFull()) {
      held = true;
      lastSign = Infinity; // a pause in reading is not silence
      unwatch?.();
      await new Promise<void>((resolve) => {
        const stop = after(STALL_MS, () => full.forEach((member) => signal.aborted || member.rest()));
        void Promise.race(full.map(async (member) => member.room(1))).then(() => resolve(stop()));
      });
    }
    if (signal.aborted) return;
    for (const member of members) if (members.size > 1 && member.room(FAR_BEHIND)) owner.onApart(member);
    if (!held) return;
    held = false;
    owner.onOpen();
    onSign();
  }

  function onEvent(wire: WireEvent): void {
    const event = decode(wire, route.parse);
    const { id, value } = event;
    if (event.type === "$close") {
      bye = event.value;
      return attempt.abort();
    }
    if (event.type === "$open") {
      openedAt = Date.now();
      start = id;
      if (route.silenceMs === undefined && event.value.heartbeat_ms) silenceMs = event.value.heartbeat_ms * SILENT_BEATS;
      onSign();
      owner.onOpen();
    }
    for (const member of members) {
      const { position } = member;
      if (event.type === "$open") member.resumedAt = position;
      const ahead = notAfter(id, position);
      const wanted = !hasHad(member, event, ahead) && concerns(member, event);
      if (wanted && straddles(event, position)) {
        owner.onApart(member);
        continue;
      }
      if (id && !ahead) {
        member.position = id;
        if (event.type !== "$open") failures = 0; // the connection brought something new
      }
      // A control event without a channel is for everybody.
      if (wanted || !(event.fault ?? value.channel)) member.take(ahead ? { ...event, id: position! } : event);
    }
  }

  /** Reports whether a member had an event through an earlier connection, where it got further than this one. */
  function hasHad(member: PoolMember, event: StreamEvent, ahead: boolean): boolean {
    const { type, id, value } = event;
    const { position } = member;
    if (type === "$gap") return !!position && position !== start && notAfter(value.resumes_at, position); // its end counts
    // The event of a message out of order has the stream's position, which never goes back. The message has its own id.
    if (type === "message" && id && value.id && value.id !== id) return notAfter(value.id, member.resumedAt);
    return ahead && type !== "$run"; // each connection starts with the latest status, under its own position
  }

  /** Ends it for good for the members that are concerned. */
  function over(error: SluiceError): void {
    const together = members.size > 1;
    if (together && error.status && error.status !== 401) closed = true;
    for (const member of closed ? [] : [...members]) {
      if (together && bye?.channel && !member.channels.includes(bye.channel)) continue;
      members.delete(member);
      member.onEnd(error, !!bye);
    }
    if (closed || !members.size) owner.onEnd(connection, error.status);
  }

  void run();
  return connection;
}

/**
 * Reports whether an event stands for several messages of which a member at this position has had some.
 * For a stream that starts at the position, the server would have sent the others alone. The message has
 * another id than the event if it is out of order.
 */
function straddles({ id, value }: StreamEvent, position: MaybePosition): boolean {
  const message = value as Partial<DataMessage>;
  return message.id === id && notAfter(message.first_id, position);
}
