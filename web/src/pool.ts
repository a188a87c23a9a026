import { askFor } from "./ask.js";
import { connect, type Connection, type Owner, type Route } from "./connection.js";
import type { PoolMember } from "./poolmember.js";
import { epochOf } from "./position.js";
import { watchPage } from "./watch.js";

/** Serves subscriptions to one server. */
export interface Pool {
  add(member: PoolMember): void;
  remove(member: PoolMember): void;
}

/** How long the members must stay the same before their connections are merged. */
const SETTLE_MS = 1000;

/** The longest address, in characters. Common proxies refuse a request line of more than 8 KiB. */
const MAX_URL = 4000;

/** The server's limits: channels of a stream, and patterns among them. */
const MAX_CHANNELS = 256;
const MAX_PATTERNS = 16;

/** The statuses of a request that was too large. A proxy may have lower limits than these. */
const TOO_LARGE = [413, 414, 431];

/** The pools of this page that have members. */
const inUse = new Map<Pool, Route>();

/** Returns the pool for a route. Equal routes share one. */
export function poolFor(route: Route): Pool {
  for (const [pool, other] of inUse) {
    if ((Object.keys(route) as (keyof Route)[]).every((key) => route[key] === other[key])) return pool;
  }
  advise(route);
  return createPool(route);
}

declare const process: { readonly env: { readonly NODE_ENV?: string } };

let advised = false;

/** Tells developers, once, that an inline function is a new one each time, so no connection is shared. Browsers allow six connections to a server. */
function advise(route: Route): void {
  try {
    // Bundlers replace exactly this expression. Without a bundler there is no process.
    if (process.env.NODE_ENV === "production") return;
    const textOf = ({ url, token }: Route): string => String([url, token]); // the same for functions created by the same line of source
    const alike = [...inUse.values()].filter((other) => textOf(other) === textOf(route));
    if (advised || typeof route.token !== "function" || alike.length < 2) return;
    advised = true;
    console.warn("Sluice: share the token function to share a connection.");
  } catch {
    // this may not be development
  }
}

/**
 * Pools subscriptions to one server onto as few connections as possible.
 *
 * A member that joins gets a connection of its own, because only then can the server replay to it.
 * Members that join in the same moment share one if they want the same replay, or resume. Once the
 * members have stayed the same for a while, connections are merged into as few as the limits of a
 * stream allow. A merged connection starts at the position of the member that is furthest behind, and
 * the others are not given again what they have had. This takes positions that can be compared; where
 * they cannot, each connection stays.
 *
 * A request that is refused is made again in two halves, until only the member that is refused by
 * itself fails.
 */
function createPool(route: Route): Pool {
  const connections = new Set<Connection>();
  let joining: PoolMember[] = [];
  let settling: ReturnType<typeof setTimeout>;
  let unwatch: () => void;
  let shrunk = false; // a connection carries what no member wants any more
  let longest = MAX_URL; // the longest address, as far as is known
  const merged = new WeakSet<Connection>(); // the server has accepted each member of these by itself

  /** Merges the connections once the members stay the same. */
  const settle = (): void => {
    clearTimeout(settling);
    settling = setTimeout(merge, SETTLE_MS);
  };

  const owner: Owner = {
    onOpen: settle,
    onApart(member) {
      pool.remove(member);
      member.alone = true;
      open([member]);
    },
    onEnd(connection, status) {
      const members = [...connection.members];
      if (members.length && (TOO_LARGE.includes(status) || (status === 400 && merged.has(connection))))
        longest = Math.min(longest, lengthOf(members) - 1);
      for (const half of halves(members)) {
        if (!half[1] && half[0]) half[0].alone = true; // or it would be merged, and refused with the others again
        open(half);
      }
      drop(connection);
    },
  };

  /** The server may not be known yet. Its address hardly matters for the length. */
  function lengthOf(members: readonly PoolMember[]): number {
    return askFor(members, route.url ?? "http://s").url.href.length;
  }

  /** Reports whether one stream can carry the members. */
  function fits(members: readonly PoolMember[]): boolean {
    const names = new Set(members.flatMap(({ channels }) => channels));
    const patterns = [...names].filter((name) => name.endsWith("*"));
    return names.size <= MAX_CHANNELS && patterns.length <= MAX_PATTERNS && lengthOf(members) <= longest;
  }

  /** Connects members, over one connection if a stream can carry them all. */
  function open(members: PoolMember[], merging = false): void {
    if (!members.length) return;
    if (members[1] && !fits(members)) return halves(members).forEach((half) => open(half, merging));
    if (!connections.size) unwatch = watchPage((online) => connections.forEach((each) => each.revive(online)));
    const connection = connect(route, new Set(members), owner);
    connections.add(connection);
    if (merging) merged.add(connection);
  }

  function drop(connection: Connection): void {
    connection.close();
    connections.delete(connection);
    if (connections.size) return;
    unwatch();
    clearTimeout(settling);
    rest();
  }

  function rest(): void {
    if (!connections.size && !joining.length) inUse.delete(pool);
  }

  /** Merges all connections that can be merged. */
  function merge(): void {
    const epoch = ({ isRead, members: [first] }: Connection): unknown => isRead() && !first!.alone && epochOf(first!.position);
    for (const group of grouped(connections, epoch).values()) {
      let batch: Connection[] = [];
      const mergeBatch = (): void => {
        const done = batch;
        batch = [];
        if (done.length < 2 && !shrunk) return;
        open(membersOf(done), true);
        done.forEach(drop);
      };
      for (const connection of group) {
        if (batch.length && !fits(membersOf([...batch, connection]))) mergeBatch();
        batch.push(connection);
      }
      mergeBatch();
    }
    shrunk = false;
  }

  const pool: Pool = {
    add(member) {
      inUse.set(pool, route);
      if (joining.push(member) > 1) return;
      queueMicrotask(() => {
        const groups = grouped(joining, (each) =>
          each.alone ? each : each.position ? (epochOf(each.position) ?? each) : `replay ${each.replay}`,
        );
        joining = [];
        for (const group of groups.values()) open(group);
      });
    },
    remove(member) {
      joining = joining.filter((each) => each !== member);
      rest();
      for (const connection of connections) {
        if (!connection.members.delete(member)) continue;
        if (!connection.members.size) return drop(connection);
        shrunk = true;
        settle();
      }
    },
  };
  return pool;
}

function membersOf(connections: readonly Connection[]): PoolMember[] {
  return connections.flatMap(({ members }) => [...members]);
}

function halves<T>(all: readonly T[]): [T[], T[]] {
  const middle = all.length >> 1;
  return [all.slice(0, middle), all.slice(middle)];
}

/** Groups what has the same key. What has no key is left out. */
function grouped<T>(all: Iterable<T>, keyOf: (each: T) => unknown): Map<unknown, T[]> {
  const groups = new Map<unknown, T[]>();
  for (const each of all) {
    const key = keyOf(each);
    if (key) groups.set(key, [...(groups.get(key) ?? []), each]);
  }
  return groups;
}
