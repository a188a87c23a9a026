// A small Sluice: a log with ids that are global, read by channels and topics from any position.

import type { Fetch } from "../../src/index.js";
import { matches } from "../../src/poolmember.js";
import { block, Exchange, messageOf } from "./server.js";

export interface Entry {
  readonly seq: number;
  readonly channel: string;
  readonly topic: string;
  readonly text: string;
}

interface Reader {
  readonly exchange: Exchange;
  readonly channels: readonly string[];
  readonly topics: readonly string[];
  /** How long what the server sends is on its way. */
  readonly latency: number;
  readonly way: (() => void)[];
}

export interface LogServer {
  readonly fetch: Fetch;
  /** Everything that was published in each life of the log; the last is the present one. */
  readonly lives: readonly (readonly Entry[])[];
  /** The position of the newest entry. */
  head(): string;
  /** How many streams there are, and how many requests there were. */
  streams(): number;
  requests(): number;
  /** The channels of each stream. */
  asked(): string[];
  publish(channel: string, topic?: string, more?: { kind?: string; data?: unknown }): string;
  /** Breaks all streams that choose() wants broken, after bytes bytes of one more event, which is not published to others. */
  cut(choose: (index: number) => boolean): void;
  /** Begins a new life, which knows nothing. */
  restart(): void;
}

export interface LogOptions {
  /** How long an answer takes. */
  delay?: () => number;
  /** What is not granted. */
  forbidden?: (channels: readonly string[]) => boolean;
  /** How long what a stream sends is on its way. */
  latency?: () => number;
  /** Where a piece is cut in two. */
  split?: (length: number) => number;
}

export function logServer({ delay = () => 0, forbidden = () => false, latency = () => 0, split = () => 0 }: LogOptions = {}): LogServer {
  const lives: Entry[][] = [];
  let entries: Entry[];
  let runs: Map<string, Entry>;
  const readers = new Set<Reader>();
  let requests = 0;
  begin();

  function begin(): void {
    lives.push((entries = []));
    runs = new Map();
  }

  const idOf = (seq: number): string => `life${lives.length - 1}-${seq}`;
  const wants = ({ channels, topics }: Reader, entry: Entry): boolean =>
    channels.some((own) => matches(own, entry.channel)) && (entry.topic === "$run" || !topics.length || topics.includes(entry.topic));

  /** Does things after the reader's latency, and in this order: timers of one moment may come in another. */
  function later({ latency: ms, way }: Reader, arrive: () => void): void {
    way.push(arrive);
    setTimeout(() => way.shift()!(), ms);
  }

  function deliver(reader: Reader, text: string): void {
    const at = split(text.length);
    later(reader, () => reader.exchange.send(text.slice(0, at)).send(text.slice(at)));
  }

  function answer(exchange: Exchange): void {
    if (exchange.left) return;
    const reader: Reader = { exchange, channels: exchange.query("channel"), topics: exchange.query("topic"), latency: latency(), way: [] };
    if (forbidden(reader.channels)) return exchange.refuse(403, "forbidden");
    const [, epoch, seq] = /^(\w+)-(\d+)$/.exec(exchange.lastEventId ?? "") ?? [];
    const known = epoch === `life${lives.length - 1}` && Number(seq) <= entries.length;
    const [replay = "none"] = exchange.query("replay");
    const held = entries.filter((entry) => entry.topic !== "$run" && wants(reader, entry));
    let from = entries.length;
    if (known) from = Number(seq);
    else if (exchange.lastEventId !== null || replay === "all") from = 0;
    else if (replay !== "none") from = (held.slice(-Number(replay))[0]?.seq ?? entries.length + 1) - 1;
    exchange.stream();
    const told = new Map<string, number>();
    let text = block("$open", { id: idOf(from), resumed: known, channels: reader.channels }, idOf(from));
    if (!known) {
      for (const [channel, entry] of runs) {
        if (!wants(reader, entry)) continue;
        told.set(channel, entry.seq);
        text += entry.text.replace(/^id: .*/, "id: " + idOf(from));
      }
    }
    if (exchange.lastEventId !== null && !known) {
      for (const channel of reader.channels) {
        text += block("$gap", { channel, after: exchange.lastEventId, resumes_at: null, reason: "restarted" }, idOf(from));
      }
    }
    for (const entry of entries.slice(from)) {
      if (wants(reader, entry) && !(entry.topic === "$run" && entry.seq <= (told.get(entry.channel) ?? 0))) text += entry.text;
    }
    readers.add(reader);
    deliver(reader, text);
  }

  return {
    fetch: (input, init = {}) =>
      new Promise<Response>((resolve, refuse) => {
        const exchange = new Exchange(new URL(String(input)), init, { answer: resolve, refuse });
        requests++;
        setTimeout(() => answer(exchange), delay());
      }),
    lives,
    head: () => idOf(entries.length),
    streams: () => [...readers].filter(({ exchange }) => !exchange.left).length,
    requests: () => requests,
    asked: () => [...readers].filter(({ exchange }) => !exchange.left).map(({ channels }) => [...channels].sort().join(",")),
    publish(channel, topic = "t", { kind = "data", data = entries.length + 1 } = {}) {
      const seq = entries.length + 1;
      const id = idOf(seq);
      const entry: Entry = { seq, channel, topic, text: block(topic, messageOf(id, data, { channel, topic, kind }), id) };
      entries.push(entry);
      if (topic === "$run") runs.set(channel, entry);
      for (const reader of readers) {
        if (reader.exchange.left) readers.delete(reader);
        else if (wants(reader, entry)) deliver(reader, entry.text);
      }
      return id;
    },
    cut(choose) {
      [...readers].forEach((reader, index) => {
        if (!choose(index)) return;
        readers.delete(reader);
        const [channel = ""] = reader.channels;
        const id = idOf(entries.length + 7);
        const text = block("t", messageOf(id, "cut off", { channel }), id);
        deliver(reader, text.slice(0, 1 + ((entries.length * 7919) % (text.length - 2))));
        setTimeout(() => later(reader, () => reader.exchange.break()), 1);
      });
    },
    restart() {
      begin();
      for (const { exchange } of readers) exchange.break();
      readers.clear();
    },
  };
}
