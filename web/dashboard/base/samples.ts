/** How long something took in a second. */
export interface Times {
  readonly measured: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
}

/** What a node tells of itself once a second; see Overview in openapi.yaml. */
export interface Overview {
  readonly node: {
    readonly name: string;
    readonly version: string;
    readonly engine: string;
    readonly started_at: string;
    readonly memory_limit_bytes: number;
  };
  readonly not_ready?: string;
  readonly channels: number;
  readonly streams: number;
  readonly lagging_streams: number;
  readonly published: number;
  readonly delivered: number;
  readonly delivered_bytes: number;
  readonly gaps: Readonly<Record<string, number>>;
  readonly waited_publishes: number;
  readonly evicted: number;
  readonly dropped: number;
  readonly repaired: number;
  readonly client_errors: number;
  readonly server_errors: number;
  readonly refused_streams: number;
  readonly log_lines_lost: number;
  readonly ring_bytes: number;
  readonly kept_bytes: number;
  readonly memory_bytes: number;
  readonly goroutines: number;
  readonly delivery: Times;
  readonly append: Times;
  readonly sync: Times;
}

export interface Sample {
  /** When it was taken, in milliseconds. */
  readonly at: number;
  readonly overview: Overview;
}

/** A value at a time, for plots. */
export interface Point {
  readonly at: number;
  readonly value: number;
}

/** How much time plots show. */
export const SPAN_MS = 60_000;

/** Adds a sample. Samples of another start of the node, and those that no plot shows, are left out. */
export function addSample(samples: readonly Sample[], next: Sample): readonly Sample[] {
  const since = next.at - SPAN_MS - 2000; // the first point of a rate needs the sample before it
  const same = samples.filter(
    ({ at, overview }) => at >= since && at < next.at && overview.node.started_at === next.overview.node.started_at,
  );
  return [...same, next];
}

/** The values of a figure that is current. */
export function levels(samples: readonly Sample[], of: (overview: Overview) => number): Point[] {
  return samples.map(({ at, overview }) => ({ at, value: of(overview) }));
}

/** How fast a figure has grown that only grows, per second. */
export function rates(samples: readonly Sample[], of: (overview: Overview) => number): Point[] {
  return samples.slice(1).map(({ at, overview }, i) => {
    const before = samples[i]!;
    const seconds = Math.max(0.001, (at - before.at) / 1000);
    return { at, value: Math.max(0, (of(overview) - of(before.overview)) / seconds) };
  });
}

/** The latest value, 0 if there is none. */
export function latest(points: readonly Point[]): number {
  return points.at(-1)?.value ?? 0;
}

export function gapsOf({ gaps }: Overview): number {
  return Object.values(gaps).reduce((sum, n) => sum + n, 0);
}
