import { subscribe } from "@sluicehq/sluice";
import { addSample, type Overview, type Sample } from "./samples.js";
import { createStore, type Store } from "./store.js";
import { whileVisible } from "./visible.js";

/** A channel to which much was published. */
export interface Busy {
  readonly channel: string;
  /** Messages a second. */
  readonly rate: number;
  readonly subscribers: number;
}

/** What a node tells of itself to the others; see NodeSummary in openapi.yaml. */
export interface NodeSummary {
  readonly id: string;
  readonly node: Overview["node"];
  readonly not_ready?: string;
  readonly channels: number;
  readonly streams: number;
  readonly published: number;
  readonly delivered: number;
  readonly memory_bytes: number;
  readonly at: string;
}

/** A node that has answered lately. */
export interface Node extends NodeSummary {
  /** Messages a second, undefined before it has answered twice. */
  readonly rate: number | undefined;
}

/** What the node has told of itself, newest last. */
export interface System {
  readonly state: "connecting" | "live" | "lost";
  /** Why the stream was lost. */
  readonly why: string;
  readonly samples: readonly Sample[];
  readonly busiest: readonly Busy[];
  /** All nodes that this one hears. */
  readonly nodes: readonly Node[];
}

export const system: Store<System> = createStore<System>({ state: "connecting", why: "", samples: [], busiest: [], nodes: [] });

/**
 * Reads the channel $system while the page is visible, until the function that it returns is called:
 * a node that nobody looks at has nothing to do.
 */
export function watchSystem(key: string): () => void {
  return whileVisible(() => open(key));
}

function open(key: string): () => void {
  system.update((present) => ({ ...present, state: "connecting", why: "" }));
  const subscription = subscribe({
    url: document.baseURI,
    // A function of its own: subscriptions with equal options share a connection, and $system is read alone.
    token: () => key,
    channel: "$system",
    topics: ["overview", "channels", "nodes"],
    replay: "all",
    onMessage(message) {
      if (message.kind !== "data") return;
      const at = Date.parse(message.created_at);
      system.update((present) => ({ ...present, ...take(present, message.topic, message.data, at) }));
    },
    onStatus(status, { error }) {
      const why = error?.message ?? "";
      if (status === "open") system.update((present) => ({ ...present, state: "live", why: "" }));
      else system.update((present) => ({ ...present, state: why ? "lost" : "connecting", why }));
    },
  });
  return () => subscription.close();
}

function take(present: System, topic: string, data: unknown, at: number): Partial<System> {
  if (topic === "overview") return { samples: addSample(present.samples, { at, overview: data as Overview }) };
  if (topic === "nodes") return { nodes: addNodes(present.nodes, (data as { nodes: NodeSummary[] }).nodes) };
  const { seconds, busiest } = data as { seconds: number; busiest: { channel: string; published: number; subscribers: number }[] };
  return { busiest: busiest.map(({ channel, published, subscribers }) => ({ channel, subscribers, rate: published / seconds })) };
}

/** Compares a list of nodes with the one before. */
export function addNodes(before: readonly Node[], list: readonly NodeSummary[]): readonly Node[] {
  return list.map((next) => {
    const last = before.find(({ id }) => id === next.id);
    const seconds = last ? (Date.parse(next.at) - Date.parse(last.at)) / 1000 : 0;
    return { ...next, rate: seconds > 0 ? (next.published - last!.published) / seconds : last?.rate };
  });
}
