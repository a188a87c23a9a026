import { askFor } from "./ask.js";
import { backoff } from "./backoff.js";
import { SluiceError } from "./error.js";
import type { WireEvent } from "./events.js";
import { concerns, type EventData, type Member } from "./member.js";
import { covered } from "./position.js";
import { credential, lost, passing, type Fetch, type Token } from "./request.js";
import type { Transport } from "./transport.js";

/** Where connections lead, and how they are kept up. */
export interface Route {
  readonly url: string | URL | undefined;
  readonly token: Token | undefined;
  readonly fetch: Fetch | undefined;
  readonly transport: Transport;
  readonly parse: (json: string) => unknown;
  readonly reconnect: boolean;
  readonly reconnectMinMs: number;
  readonly reconnectMaxMs: number;
  /** After so long without a sign of life a connection is taken for dead; 0: never. */
  readonly silenceMs: number;
}

/** One stream of the server for as long as it has members, made anew after each loss from where they are. */
export interface Connection {
  readonly members: Set<Member>;
  isOpen(): boolean;
  close(): void;
  /** Connects at once, in place of a wait for that and of a connection that may have died unseen: surely, or by how long it was silent. */
  revive(surely: boolean): void;
}

/** What a connection tells its owner. */
export interface Owner {
  /** It has opened; it may again and again. */
  opened(): void;
  /** It has ended. Those who are still its members were not told: the server refuses what they ask for together. */
  ended(connection: Connection): void;
}

/** Aborts an attempt so that the next one begins at once. */
const RESTART = 0;

/**
 * @param members all without a position and with the same replay, or all at positions that can be
 *   compared
 */
export function connect(route: Route, members: Set<Member>, owner: Owner): Connection {
  const { token, reconnect, silenceMs, parse } = route;
  let closed = false;
  let attempt: AbortController;
  let wake: (() => void) | undefined; // ends a wait
  let watch: ReturnType<typeof setTimeout> | undefined;
  let lastSign = 0;
  let start: string; // where the attempt has opened
  let openedAt: number; // 0: it has not
  let bye: EventData | undefined; // the data of the server's $close

  const connection: Connection = {
    members,
    isOpen: () => openedAt > 0,
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
    let failures = 0; // in a row
    let renewed = false; // a 401 was answered with a new token
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
      else if (!reconnect || (error && !passing(error)) || bye?.reconnect === false) over(why);
      else {
        for (const member of members) member.lost(why);
        const ms = backoff(failures++, route.reconnectMinMs, route.reconnectMaxMs, bye?.retry_after_ms ?? why.retryAfterMs);
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, ms);
          wake = () => resolve(clearTimeout(timer));
        });
      }
    }
  }

  /** Makes one connection and reads it to its end. */
  async function once(): Promise<SluiceError | null> {
    attempt = new AbortController();
    const { signal } = attempt;
    openedAt = 0;
    bye = undefined;
    try {
      const key = await credential(token);
      if (signal.aborted) return null;
      onSign(); // the answer may stay away, too
      await route.transport({ ...route, ...askFor([...members], route.url), token: key, signal, onSign, onEvent });
    } catch (cause) {
      if (!bye) return cause instanceof SluiceError ? cause : lost(cause);
    } finally {
      clearTimeout(watch);
      attempt.abort();
    }
    return null;
  }

  function onSign(): void {
    const { signal } = attempt;
    lastSign = Date.now();
    clearTimeout(watch);
    if (silenceMs && !signal.aborted) watch = setTimeout(() => attempt.abort(), silenceMs);
  }

  function onEvent({ type, data, id }: WireEvent): void {
    if (attempt.signal.aborted) return;
    const value = parse(data) as EventData;
    if (type === "$close") {
      bye = value;
      return attempt.abort();
    }
    if (type === "$open") {
      openedAt = Date.now();
      start = id;
      owner.opened();
    }
    for (const member of members) {
      // A member may be ahead of the connection and have had this already; of a gap its end counts.
      // $run comes with each connection, under the position of its start.
      const { position } = member;
      const ahead = position && covered(id, position);
      const had = type === "$gap" ? position && position !== start && covered(value.resumes_at ?? "", position) : ahead && type !== "$run";
      if (id && !ahead) member.position = id;
      if (!value.channel || (!had && concerns(member, type, value))) member.take(type, value, ahead ? position : id);
    }
  }

  /** Ends it for good for those whom the end concerns. */
  function over(error: SluiceError): void {
    const together = members.size > 1;
    if (together && error.status && error.status !== 401) closed = true;
    for (const member of closed ? [] : [...members]) {
      if (together && bye?.channel && !member.channels.includes(bye.channel)) continue;
      members.delete(member);
      member.failed(error, !!bye);
    }
    if (closed || !members.size) owner.ended(connection);
  }

  void run();
  return connection;
}
