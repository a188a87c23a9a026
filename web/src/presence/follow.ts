import { call } from "../call.js";
import { nameOf, type AnyChannel, type InngestChannel } from "../channel.js";
import { connect, type Connection, type Route } from "../connection.js";
import type { PoolMember } from "../poolmember.js";
import { routeOf, type ConnectOptions } from "../subscribe.js";
import { watchPage } from "../watch.js";
import { createReaders, NOBODY, type Presence, type PresenceEvent } from "./readers.js";

/** Who came and who went with a change. */
export interface PresenceChange {
  readonly joined: readonly string[];
  readonly left: readonly string[];
}

export interface PresenceOptions extends Omit<ConnectOptions, "parse" | "shareTabs" | "eventSource"> {
  /** The channel. It must not be a pattern or a whole family of channels. */
  channel: string | AnyChannel | InngestChannel;
  /** Is called after each change. What happens while the connection is lost and made again is one change, if anything is different. */
  onChange?: ((presence: Presence, change: PresenceChange) => unknown) | undefined;
  /** Ends it. */
  signal?: AbortSignal | undefined;
}

/** What {@link followPresence} returns. It lasts until it is closed or refused. */
export interface PresenceSubscription {
  /** Returns who is there now. */
  getSnapshot(): Presence;
  /** Calls the listener after each change of the snapshot, until the returned function is called. */
  subscribe(listener: () => void): () => void;
  close(): void;
}

/** The connection for one channel, which those who follow it over equal routes share. */
interface Shared {
  readonly route: Route;
  readonly channel: string;
  readonly listeners: Set<() => void>;
  presence: Presence;
  connection: Connection;
  /** Ends the watching of the page. */
  unwatch(): void;
}

const TOPIC = "$presence";

/** What is followed now. */
const inUse = new Set<Shared>();

/**
 * Follows who reads a channel. The token must grant the topic `$presence` by its name. Whoever
 * follows a channel is not among its readers: for that, subscribe to it.
 *
 * It has a connection of its own, which all who follow the same channel with equal options share.
 * It reconnects by itself.
 *
 * @throws TypeError for a pattern
 */
export function followPresence(options: PresenceOptions): PresenceSubscription {
  const { signal, onChange } = options;
  const channel = nameOf(options.channel);
  if (channel.endsWith("*")) throw new TypeError("presence needs one channel");
  const listeners = new Set<() => void>();
  let shared: Shared | undefined = join(routeOf(options), channel);
  let last = shared.presence;
  let known: Presence | undefined; // what onChange was told last

  function look(): void {
    if (!shared) return;
    last = shared.presence;
    if (last.status === "open" && !(known && alike(known, last))) {
      const [before, now] = [known?.subjects ?? [], last.subjects];
      known = last;
      void call(onChange, last, { joined: now.filter(notIn(before)), left: before.filter(notIn(now)) });
    }
    for (const listener of listeners) void call(listener);
  }

  function close(): void {
    if (!shared) return;
    leave(shared, look);
    shared = undefined;
    signal?.removeEventListener("abort", close);
    last = { ...last, status: last.status === "error" ? "error" : "closed" };
    for (const listener of listeners) void call(listener);
  }

  shared.listeners.add(look);
  if (last.status === "open") queueMicrotask(look); // others were told already
  if (signal?.aborted) close();
  else signal?.addEventListener("abort", close);
  return {
    getSnapshot: () => last,
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    close,
  };
}

/** Returns the connection for a channel, and makes it if there is none. */
function join(route: Route, channel: string): Shared {
  const keys = Object.keys(route) as (keyof Route)[];
  for (const shared of inUse) {
    if (shared.channel === channel && keys.every((key) => shared.route[key] === route[key])) return shared;
  }
  return open(route, channel);
}

function leave(shared: Shared, listener: () => void): void {
  shared.listeners.delete(listener);
  if (shared.listeners.size) return;
  drop(shared);
  shared.connection.close();
}

function drop(shared: Shared): void {
  inUse.delete(shared);
  shared.unwatch();
}

function open(route: Route, channel: string): Shared {
  const readers = createReaders();
  const shared = { route, channel, listeners: new Set(), presence: NOBODY } as unknown as Shared;

  function update(change: Partial<Presence>): void {
    shared.presence = { ...shared.presence, ...change };
    for (const listener of [...shared.listeners]) listener();
  }

  const member: PoolMember = {
    channels: [channel],
    topics: [TOPIC],
    replay: "none",
    alone: true,
    // Presence is told anew by every connection, so there is nothing to resume.
    get position() {
      return null;
    },
    set position(_) {},
    take({ topic, value }) {
      if (topic !== TOPIC) return;
      const now = readers(value as unknown as PresenceEvent);
      if (now) update({ ...now, status: "open", error: null });
    },
    room: () => undefined,
    rest: () => undefined,
    onLost: (error) => update({ status: "connecting", error }),
    onEnd(error, closed) {
      drop(shared);
      update({ status: closed ? "closed" : "error", error });
    },
  };
  inUse.add(shared);
  shared.unwatch = watchPage((online) => shared.connection.revive(online));
  shared.connection = connect(route, new Set([member]), { onOpen: () => undefined, onApart: () => undefined, onEnd: () => undefined });
  return shared;
}

/** Reports whether two say the same about the readers. */
function alike(a: Presence, b: Presence): boolean {
  return a.count === b.count && a.more === b.more && a.subjects.join("\n") === b.subjects.join("\n");
}

function notIn(names: readonly string[]): (name: string) => boolean {
  const set = new Set(names);
  return (name) => !set.has(name);
}
