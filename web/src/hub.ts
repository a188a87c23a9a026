import { askFor } from "./ask.js";
import { connect, type Connection, type Owner, type Route } from "./connection.js";
import type { Member } from "./member.js";
import { epochOf } from "./position.js";

/** Where a subscription gets its events from. */
export interface Source {
  add(member: Member): void;
  remove(member: Member): void;
}

/** How long the members must have been the same before they are brought together. */
const SETTLE_MS = 1000;

/** The longest address, in characters: a common proxy refuses a request line of more than 8 KiB. */
const MAX_URL = 4000;

/** The sources of this page that have connections. */
const inUse = new Map<Source, Route>();

/** The source that leads this way. */
export function hubFor(route: Route): Source {
  for (const [hub, other] of inUse) {
    if ((Object.keys(route) as (keyof Route)[]).every((key) => route[key] === other[key])) return hub;
  }
  return createHub(route);
}

/**
 * The connections that lead one way: as few as it can be done with without losing a message.
 *
 * A member that joins comes on a connection of its own (shared with those that join in the same
 * moment and want the same replay, or go on from somewhere), since only so the server can replay to it. When things have
 * settled the connections are joined into one, which begins at the position of the member that is
 * furthest behind; what the others have had is kept from them. So this works only for positions
 * that can be compared, and where that is not so each connection stays.
 */
function createHub(route: Route): Source {
  const connections = new Set<Connection>();
  let joining: Member[] = [];
  let settling: ReturnType<typeof setTimeout>;
  let shrunk = false; // a connection carries what nobody wants any more

  // The network is back, or somebody looks.
  const revive = ({ type }: Event): void => connections.forEach((connection) => connection.revive(type === "online"));
  const listen = (method: "addEventListener" | "removeEventListener"): void => {
    globalThis[method]?.("online", revive);
    globalThis.document?.[method]("visibilitychange", revive);
  };

  const settle = (): void => {
    clearTimeout(settling);
    settling = setTimeout(join, SETTLE_MS);
  };

  const owner: Owner = {
    opened: settle,
    ended(connection) {
      drop(connection);
      for (const member of connection.members) {
        member.alone = true; // so each finds out whether it is the one that is refused
        open([member]);
      }
    },
  };

  function open(members: Member[]): void {
    if (!connections.size) listen("addEventListener");
    connections.add(connect(route, new Set(members), owner));
  }

  function drop(connection: Connection): void {
    connection.close();
    connections.delete(connection);
    if (connections.size) return;
    listen("removeEventListener");
    clearTimeout(settling);
    rest();
  }

  function rest(): void {
    if (!connections.size && !joining.length) inUse.delete(hub);
  }

  /** Makes one connection of all that can be joined. */
  function join(): void {
    const epoch = ({ isOpen, members: [first] }: Connection): unknown =>
      (isOpen() && !first!.alone && epochOf(first!.position!)) || undefined;
    for (const group of grouped(connections, epoch).values()) {
      const members = group.flatMap((connection) => [...connection.members]);
      if ((group.length < 2 && !shrunk) || askFor(members, route.url).url.href.length > MAX_URL) continue;
      open(members);
      group.forEach(drop);
    }
    shrunk = false;
  }

  const hub: Source = {
    add(member) {
      inUse.set(hub, route);
      if (joining.push(member) > 1) return;
      queueMicrotask(() => {
        const groups = grouped(joining, (each) =>
          each.alone ? each : each.position ? (epochOf(each.position) ?? each) : `replay ${each.replay}`,
        );
        joining = [];
        groups.forEach(open);
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
  return hub;
}

/** Puts together what has the same key; what has none stays out. */
function grouped<T>(all: Iterable<T>, keyOf: (each: T) => unknown): Map<unknown, T[]> {
  const groups = new Map<unknown, T[]>();
  for (const each of all) {
    const key = keyOf(each);
    if (key !== undefined) groups.set(key, [...(groups.get(key) ?? []), each]);
  }
  return groups;
}
