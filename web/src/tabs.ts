import { SluiceError } from "./error.js";
import type { Route } from "./connection.js";
import type { Source } from "./hub.js";
import type { EventData, Member } from "./member.js";
import { covered } from "./position.js";

/** What tabs say to each other. Where there is an id, it is a member's. */
type Word =
  | { say: "lead" }
  | { say: "join"; id: string; tab: string; wish: Pick<Member, "channels" | "topics" | "replay" | "alone" | "position"> }
  | { say: "leave"; id: string }
  | { say: "take"; id: string; type: string; value: EventData; at: string }
  | { say: "lost" | "failed"; id: string; error: { code: string | number; message: string; status: number }; closed: boolean };

/** Ends of a stream that another connection would not change: an administrator wants nobody there, or the channel is gone. */
const FOR_ALL = [4403, 4410];

/**
 * Shares one connection among the tabs of a browser that give the same name: those of one user on
 * one server, since all see what the leader's token grants. Pass it to subscribe() as `shareTabs`.
 *
 * The leader is the tab that holds a Web Lock. It serves members of other tabs like its own and
 * tells them by a BroadcastChannel. Each tab keeps the positions of its members, so whoever leads
 * next goes on from there. A tab that hears nothing from its leader for as long as a connection
 * may be silent, or that is refused what the leader's token does not grant, connects by itself.
 * Without Web Locks (they need a secure context) each tab does.
 */
export function tabs(name: string): (source: Source, route: Route) => Source {
  return (source, route) => {
    const able = globalThis.navigator?.locks && globalThis.BroadcastChannel;
    if (!able) return source;
    const key = `sluice ${route.url} ${name}`;
    const known = hubs.get(key) ?? createTabHub(key, source, route, () => hubs.delete(key));
    hubs.set(key, known);
    return known;
  };
}

/** How long members of other tabs are gathered: each comes by a word of its own. */
const GATHER_MS = 20;

/** The hubs of this tab that are in use. */
const hubs = new Map<string, Source>();

function createTabHub(name: string, source: Source, { silenceMs }: Route, onLeft: () => void): Source {
  const tab = crypto.randomUUID();
  const own = new Map<Member, string>(); // the ids of this tab's members
  const remote = new Map<string, Member>(); // of these, those that a leader serves
  const guests = new Map<string, Member & { tab: string }>(); // members of other tabs, served here
  let arriving: Member[] = []; // guests that are not served yet
  const watched = new Set<string>(); // tabs whose end is waited for
  let bus: BroadcastChannel | undefined;
  let leaving = new AbortController();
  let present = false; // a lock shows that this tab is there
  let leads = false;
  let watch: ReturnType<typeof setTimeout> | undefined;

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
      lock(data.tab, signal, () => lose(data.tab)); // it is granted when that tab is gone
    };
    lock(tab, signal, () => {
      present = true;
      remote.forEach((member, id) => follow(id, member));
      return untilLeft();
    });
    lock(name, signal, () => {
      leads = true;
      clearTimeout(watch);
      for (const member of remote.values()) source.add(member);
      remote.clear();
      say({ say: "lead" });
      return untilLeft();
    });
  }

  function leave(): void {
    clearTimeout(watch);
    for (const id of guests.keys()) dismiss(id);
    watched.clear();
    leads = present = false;
    leaving.abort();
    bus?.close();
    onLeft();
  }

  // Following

  function follow(id: string, member: Member): void {
    const { channels, topics, replay, alone, position } = member;
    remote.set(id, member);
    if (present) say({ say: "join", id, tab, wish: { channels, topics, replay, alone, position } });
  }

  /** Waits for a word of the leader. */
  function listen(): void {
    clearTimeout(watch);
    if (silenceMs) watch = setTimeout(() => remote.forEach((member, id) => goAlone(id, member)), silenceMs);
  }

  function goAlone(id: string, member: Member): void {
    remote.delete(id);
    say({ say: "leave", id });
    source.add(member);
  }

  function hear(word: Exclude<Word, { say: "join" }>): void {
    if (word.say === "leave") return dismiss(word.id);
    listen();
    if (word.say === "lead") return remote.forEach((member, id) => follow(id, member));
    const member = remote.get(word.id);
    if (!member) return;
    if ("error" in word) {
      const error = new SluiceError(word.error.code, word.error.message, word.error);
      if (word.say === "lost") return member.lost(error);
      if (!FOR_ALL.includes(Number(error.code))) return goAlone(word.id, member);
      remote.delete(word.id);
      return member.failed(error, word.closed);
    }
    if (word.at && !(member.position && covered(word.at, member.position))) member.position = word.at;
    member.take(word.type, word.value, word.at);
  }

  // Leading

  function serve({ id, tab: home, wish }: Extract<Word, { say: "join" }>): void {
    const tell = (what: "lost" | "failed", { code, message, status }: SluiceError, closed: boolean): void => {
      say({ say: what, id, closed, error: { code, message, status } });
    };
    const guest: Member & { tab: string } = {
      ...wish,
      tab: home,
      take: (type, value, at) => say({ say: "take", id, type, value, at }),
      lost: (error) => tell("lost", error, false),
      failed(error, closed) {
        guests.delete(id);
        tell("failed", error, closed);
      },
    };
    dismiss(id);
    guests.set(id, guest);
    if (arriving.push(guest) === 1) setTimeout(admit, GATHER_MS);
  }

  /** Lets those in together who have come together: so one connection serves all whom the last leader left. */
  function admit(): void {
    const here = new Set<Member>(guests.values());
    for (const guest of arriving) if (here.has(guest)) source.add(guest);
    arriving = [];
  }

  function lose(gone: string): void {
    watched.delete(gone);
    for (const [id, guest] of guests) if (guest.tab === gone) dismiss(id);
  }

  function dismiss(id: string): void {
    const guest = guests.get(id);
    if (guest) source.remove(guest);
    guests.delete(id);
  }

  return {
    add(member) {
      if (!own.size) enter();
      const id = crypto.randomUUID();
      own.set(member, id);
      if (leads) return source.add(member);
      follow(id, member);
      listen();
    },
    remove(member) {
      const id = own.get(member);
      if (!id) return;
      own.delete(member);
      if (remote.delete(id)) say({ say: "leave", id });
      else source.remove(member);
      if (!own.size) leave();
    },
  };
}

/** Waits for a lock until the signal, and holds it until what held() returns is fulfilled. */
function lock(name: string, signal: AbortSignal, held: () => unknown): void {
  navigator.locks.request(name, { signal }, held).catch(() => {}); // left before it was granted
}
