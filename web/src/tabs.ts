import { SluiceError } from "./error.js";
import { FAR_BEHIND, SILENCE_MS, SILENT_BEATS, type Route } from "./connection.js";
import type { StreamEvent } from "./decode.js";
import type { Pool } from "./pool.js";
import type { PoolMember } from "./poolmember.js";
import { notAfter } from "./position.js";
import { after } from "./timer.js";

/** The messages between tabs. An id is that of a member. */
type Word =
  | { say: "lead" }
  | { say: "join"; id: string; tab: string; wish: Pick<PoolMember, "channels" | "topics" | "replay" | "alone" | "position"> }
  | { say: "leave"; id: string }
  | { say: "take"; id: string; event: StreamEvent }
  | { say: "load"; id: string; scale: number }
  | { say: "rest"; id: string }
  | { say: "lost" | "failed"; id: string; error: { code: string | number; message: string; status: number }; closed: boolean };

/** Increases with each change of {@link Word}, because tabs with different versions of the page must not share. */
const WORDS = 2;

/** Close codes that another connection would meet, too: an administrator disconnected everybody, or the channel is gone. */
const FOR_ALL = [4403, 4410];

/**
 * Shares one connection among the tabs of a browser that use the same name. Put the user into the
 * name, because every tab sees what the leader's token grants. Pass the result to subscribe() as
 * `shareTabs`.
 *
 * The leader is the tab that holds a Web Lock. It serves the members of other tabs like its own, over
 * a BroadcastChannel. Each tab keeps the positions of its members, so the next leader resumes from
 * there. A tab connects by itself if it hears nothing from the leader for as long as a connection may
 * be silent, or if the leader's token does not grant what it wants. Without Web Locks, which need a
 * secure context, every tab connects by itself.
 *
 * A tab whose members have no room tells the leader, which treats them like its own.
 */
export function tabs(name: string): (pool: Pool, route: Route) => Pool {
  return (pool, route) => {
    const able = globalThis.navigator?.locks && globalThis.BroadcastChannel;
    if (!able) return pool;
    const key = `sluice ${WORDS} ${route.url} ${name}`;
    const known = pools.get(key) ?? createTabPool(key, pool, route, () => pools.delete(key));
    pools.set(key, known);
    return known;
  };
}

/** How long to collect members of other tabs, since each joins with its own word. */
const GATHER_MS = 20;

/** The pools of this tab that are in use. */
const pools = new Map<string, Pool>();

/** A member of another tab that the leader serves. */
interface Guest extends PoolMember {
  readonly tab: string;
  /** The other tab reports how much waits there: at least this many times too much. */
  loaded(scale: number): void;
}

function createTabPool(name: string, pool: Pool, route: Route, onLeft: () => void): Pool {
  const tab = crypto.randomUUID();
  const own = new Map<PoolMember, string>(); // this tab's members and their ids
  const remote = new Map<string, PoolMember>(); // those of them that a leader serves
  const guests = new Map<string, Guest>(); // members of other tabs, served here
  const told = new Map<string, number>(); // the load of remote members that the leader was told
  let silenceMs = route.silenceMs ?? SILENCE_MS;
  let arriving: PoolMember[] = []; // guests that are not served yet
  const watched = new Set<string>(); // tabs that are watched for their end
  let bus: BroadcastChannel | undefined;
  let leaving = new AbortController();
  let present = false; // this tab holds its lock, which shows that it exists
  let leads = false;
  let unwatch: (() => void) | undefined;

  const say = (word: Word): void => bus?.postMessage(word);

  function enter(): void {
    const { signal } = (leaving = new AbortController());
    const untilLeft = (): Promise<void> => new Promise((resolve) => signal.addEventListener("abort", () => resolve()));
    bus = new BroadcastChannel(name);
    bus.onmessage = ({ data }: MessageEvent<Word>) => {
      if (data.say !== "join") return hear(data);
      if (!leads) return;
      serve(data);
      if (watched.has(data.tab)) return;
      watched.add(data.tab);
      lock(data.tab, signal, () => lose(data.tab)); // granted once that tab is gone
    };
    lock(tab, signal, () => {
      present = true;
      remote.forEach((member, id) => follow(id, member));
      return untilLeft();
    });
    lock(name, signal, () => {
      leads = true;
      unwatch?.();
      for (const member of remote.values()) pool.add(member);
      remote.clear();
      say({ say: "lead" });
      return untilLeft();
    });
  }

  function leave(): void {
    unwatch?.();
    told.clear();
    for (const id of guests.keys()) dismiss(id);
    watched.clear();
    leads = present = false;
    leaving.abort();
    bus?.close();
    onLeft();
  }

  // Following

  function follow(id: string, member: PoolMember): void {
    const { channels, topics, replay, alone, position } = member;
    remote.set(id, member);
    told.delete(id);
    if (present) say({ say: "join", id, tab, wish: { channels, topics, replay, alone, position } });
  }

  /** Waits for a word from the leader. A member without room is sent nothing. */
  function listen(ms = silenceMs): void {
    unwatch?.();
    const giveUp = (): void => {
      for (const [id, member] of remote) if (!member.room(1)) goAlone(id, member);
      if (remote.size) listen(ms);
    };
    if (ms) unwatch = after(ms, giveUp);
  }

  /** Tells the leader how much waits here, if that has changed. */
  function tellLoad(id: string, member: PoolMember): void {
    const free = member.room(1);
    const scale = member.room(FAR_BEHIND) ? FAR_BEHIND : +!!free;
    if ((told.get(id) ?? 0) !== scale) say({ say: "load", id, scale });
    told.set(id, scale);
    void free?.then(() => remote.has(id) && tellLoad(id, member));
  }

  function goAlone(id: string, member: PoolMember): void {
    remote.delete(id);
    say({ say: "leave", id });
    pool.add(member);
  }

  function hear(word: Exclude<Word, { say: "join" }>): void {
    if (word.say === "leave") return dismiss(word.id);
    if (word.say === "load") return guests.get(word.id)?.loaded(word.scale);
    listen();
    if (word.say === "lead") return remote.forEach((member, id) => follow(id, member));
    const member = remote.get(word.id);
    if (!member) return;
    if ("error" in word) {
      const error = new SluiceError(word.error.code, word.error.message, word.error);
      if (word.say === "lost") return member.onLost(error);
      if (!FOR_ALL.includes(Number(error.code))) return goAlone(word.id, member);
      remote.delete(word.id);
      return member.onEnd(error, word.closed);
    }
    if (word.say === "rest") return member.rest();
    const { event } = word;
    if (event.id && !notAfter(event.id, member.position)) member.position = event.id;
    const beat = event.type === "$open" && event.value.heartbeat_ms;
    if (beat && route.silenceMs === undefined) silenceMs = beat * SILENT_BEATS;
    member.take(event);
    if (!told.get(word.id) && member.room(1)) tellLoad(word.id, member);
    else if (told.get(word.id) === 1 && member.room(FAR_BEHIND)) {
      told.set(word.id, FAR_BEHIND);
      say({ say: "load", id: word.id, scale: FAR_BEHIND });
    }
  }

  // Leading

  function serve({ id, tab: home, wish }: Extract<Word, { say: "join" }>): void {
    const tell = (what: "lost" | "failed", { code, message, status }: SluiceError, closed: boolean): void => {
      say({ say: what, id, closed, error: { code, message, status } });
    };
    let load = 0;
    let free: (() => void)[] = [];
    const guest: Guest = {
      ...wish,
      tab: home,
      take(event) {
        const { fault } = event;
        const told = fault ? (fault instanceof Error ? fault.message : "unreadable") : undefined; // no other tab can be given any value
        try {
          say({ say: "take", id, event: { ...event, fault: told } });
        } catch (refusal) {
          // What parse() returned cannot be cloned for another tab, which has to read by itself.
          dismiss(id);
          tell("failed", new SluiceError("unsupported", String(refusal)), false);
        }
      },
      loaded(scale) {
        load = scale;
        for (const resolve of free) resolve();
        free = [];
      },
      room: (scale) => (load >= scale ? new Promise((resolve) => free.push(resolve)) : undefined),
      rest: () => say({ say: "rest", id }),
      onLost: (error) => tell("lost", error, false),
      onEnd(error, closed) {
        guests.delete(id);
        tell("failed", error, closed);
      },
    };
    dismiss(id);
    guests.set(id, guest);
    if (arriving.push(guest) === 1) setTimeout(admit, GATHER_MS);
  }

  /** Adds guests that arrived together at once, so that one connection serves all that the previous leader left. */
  function admit(): void {
    const here = new Set<PoolMember>(guests.values());
    for (const guest of arriving) if (here.has(guest)) pool.add(guest);
    arriving = [];
  }

  function lose(gone: string): void {
    watched.delete(gone);
    for (const [id, guest] of guests) if (guest.tab === gone) dismiss(id);
  }

  function dismiss(id: string): void {
    const guest = guests.get(id);
    guests.delete(id);
    if (!guest) return;
    pool.remove(guest);
    guest.loaded(0); // nobody waits for its room any more
  }

  return {
    add(member) {
      if (!own.size) enter();
      const id = crypto.randomUUID();
      own.set(member, id);
      if (leads) return pool.add(member);
      follow(id, member);
      listen(silenceMs || SILENCE_MS); // even where heartbeats are invisible
    },
    remove(member) {
      const id = own.get(member);
      if (!id) return;
      own.delete(member);
      if (remote.delete(id)) say({ say: "leave", id });
      else pool.remove(member);
      if (!own.size) leave();
    },
  };
}

/** Waits for a lock until the signal aborts, and holds it until the promise of held() is fulfilled. */
function lock(name: string, signal: AbortSignal, held: () => unknown): void {
  navigator.locks.request(name, { signal }, held).catch(() => {}); // left before the lock was granted
}
