import { subscribe, type Message, type Replay, type Run, type Subscription } from "../src/index.js";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { logServer, type LogServer } from "./support/log.js";
import { random, type Random } from "./support/random.js";
import { tick } from "./support/server.js";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const CHANNELS = ["a", "b", "c", "d:1", "d:2"];
const WISHES = [["a"], ["a"], ["b"], ["a", "b"], ["c"], ["d:*"], ["d:1"]];

/** A subscription, and what it must have received. */
interface Reader {
  readonly sub: Subscription;
  readonly channels: readonly string[];
  readonly topics: readonly string[] | undefined;
  /** The ids of the messages. */
  readonly got: string[];
  readonly faults: string[];
  /** The position at which it first opened, and in which life of the log. */
  from: { seq: number; life: number } | undefined;
  closed: boolean;
}

const seqOf = (id: string): number => Number(id.split("-")[1]);
const lifeOf = (id: string): number => Number(/\d+/.exec(id)![0]);

function reader(log: LogServer, rand: Random): Reader {
  const channels = rand.pick(WISHES);
  const topics = rand.pick([undefined, undefined, ["t"], ["t", "u"]]);
  const replay = rand.pick<Replay>(["none", "none", "none", "all", 2]);
  const kind = rand.pick(["plain", "plain", "slow", "iterated"]);
  const got: string[] = [];
  const faults: string[] = [];
  const runs = new Map<unknown, number>();
  const head = log.head();
  let position = head;

  function look(): void {
    const now = sub.getSnapshot().position!;
    if (lifeOf(now) === lifeOf(position) && seqOf(now) < seqOf(position) && self.looked)
      faults.push(`the position went from ${position} back to ${now}`);
    position = now;
    self.looked = true;
  }
  function take(message: Message): void {
    look();
    got.push(message.id);
  }
  const sub = subscribe({
    url: "http://sluice",
    token: "token",
    fetch: log.fetch,
    channels,
    topics,
    replay,
    onStatus(status, { position: at }) {
      if (status !== "open" || self.from) return;
      self.from = { seq: seqOf(at!), life: lifeOf(at!) };
      const early = replay === "none" && lifeOf(head) === self.from.life && self.from.seq < seqOf(head);
      if (early || self.from.seq > log.lives[self.from.life]!.length) faults.push(`opened at ${at}`);
    },
    onRun(run: Run) {
      look();
      const { of, n } = run as unknown as { of: string; n: number };
      if (n <= (runs.get(of) ?? 0)) faults.push(`run status ${n} of ${of} came after ${runs.get(of)}`);
      runs.set(of, n);
    },
    ...(kind === "plain" && { onMessage: take }),
    ...(kind === "slow" && {
      async onMessage(message: Message) {
        await new Promise((resolve) => setTimeout(resolve, rand.below(300)));
        take(message);
      },
    }),
  });
  if (kind === "iterated") {
    void (async () => {
      for await (const message of sub) {
        take(message);
        if (rand.chance(0.3)) await new Promise((resolve) => setTimeout(resolve, rand.below(300)));
      }
    })();
  }
  const self: Reader & { looked: boolean } = { sub, channels, topics, got, faults, from: undefined, closed: false, looked: false };
  return self;
}

/** What a reader must get of a life of the log: all from its beginning there. */
function expected(log: LogServer, { channels, topics, from }: Reader, life: number): string[] {
  if (!from || life < from.life) return [];
  return log.lives[life]!.filter(({ seq, channel, topic }) => {
    const named = channels.some((own) => own === channel || (own === "d:*" && channel.startsWith("d:")));
    return seq > (life === from.life ? from.seq : 0) && named && topic !== "$run" && (topics?.includes(topic) ?? true);
  }).map(({ seq }) => `life${life}-${seq}`);
}

function judge(log: LogServer, each: Reader, about: string): void {
  expect(each.faults, about).toEqual([]);
  const lives = [...new Set(each.got.map(lifeOf))];
  expect(lives, about).toEqual([...lives].sort());
  const last = log.lives.length - 1;
  for (const life of new Set([...lives, last])) {
    const got = each.got.filter((id) => lifeOf(id) === life);
    const want = expected(log, each, life);
    // What is lost with a life, nobody can have; what comes after close(), nobody wants.
    expect(got, about).toEqual(each.closed || life < last ? want.slice(0, got.length) : want);
  }
  const told = each.sub.getSnapshot().gaps.length;
  if (!each.closed && each.from && each.from.life < last) expect(told, about).toBeGreaterThan(0);
  if (log.lives.length === 1) expect(told, about).toBe(0);
}

async function play(seed: number, restarts: boolean): Promise<void> {
  const rand = random(seed);
  const jitter = random(seed);
  vi.spyOn(Math, "random").mockImplementation(() => jitter.below(1000) / 1000);
  const log = logServer({
    delay: () => rand.below(rand.chance(0.1) ? 900 : 60),
    latency: () => rand.pick([0, 0, 0, 20, 300]),
    split: (length) => rand.below(length),
  });
  const readers: Reader[] = [];
  let n = 0;
  const publish = (): void => {
    const channel = rand.pick(CHANNELS);
    if (rand.chance(0.15)) log.publish(channel, "$run", { kind: "run", data: { status: "running", of: channel, n: ++n } });
    else log.publish(channel, rand.pick(["t", "u"]));
  };
  for (let step = 0; step < 100; step++) {
    const alive = readers.filter(({ closed }) => !closed);
    const one = rand.pick(alive);
    for (let i = rand.below(4); i > 0; i--) publish();
    const what = rand.below(100);
    if (!one || (what < 10 && alive.length < 7)) readers.push(reader(log, rand));
    else if (what < 13) {
      one.sub.close();
      one.closed = true;
    } else if (what < 23) one.sub.pause(rand.pick(["x", "y"]));
    else if (what < 35) one.sub.resume(rand.pick(["x", "y"]));
    else if (what < 45) log.cut(() => rand.chance(0.5));
    else if (what < 48 && restarts) log.restart();
    if (rand.chance(0.3)) publish();
    await tick(rand.pick([0, 0, 10, 100, 700, 1500]));
  }
  for (const { sub } of readers) {
    sub.resume("x");
    sub.resume("y");
  }
  for (let i = 0; i < 20; i++) {
    await tick(1000);
    publish();
  }
  await tick(20_000);
  readers.forEach((each, index) => judge(log, each, `seed ${seed}, reader ${index} of ${each.channels.join()}`));
  const alive = readers.filter(({ closed }) => !closed);
  const wanted = [...new Set(alive.flatMap(({ channels }) => channels))].sort().join(",");
  expect(log.asked(), `seed ${seed}`).toEqual(alive.length ? [wanted] : []);
  for (const { sub } of readers) sub.close();
  await tick();
  expect(log.streams()).toBe(0);
}

/** More seeds can be tried from outside: SEED=100 SEEDS=50. */
const first = Number(process.env["SEED"] ?? 1);
const count = Number(process.env["SEEDS"] ?? 12);

describe("subscriptions that share their connections", () => {
  test("get each message of theirs once and in order, whoever joins, leaves, pauses or loses the connection", async () => {
    for (let seed = first; seed < first + count; seed++) await play(seed, false);
  });

  test("are told when the server begins anew, and get all of its new life", async () => {
    for (let seed = first; seed < first + count; seed++) await play(seed, true);
  });
});
