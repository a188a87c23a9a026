import { StrictMode, useEffect, useLayoutEffect, type ComponentType, type ReactNode } from "react";
import { createRoot } from "react-dom/client";

import { z } from "zod";
import { channel, text } from "../src/index.js";

export const pipeline = channel({
  name: ({ runId }: { runId: string }) => `pipeline:${runId}`,
  topics: {
    status: { schema: z.object({ step: z.string() }) },
    tokens: text(),
  },
});
export const run42 = pipeline({ runId: "42" });

/** A connection that a test serves. */
export interface Stream {
  readonly url: URL;
  readonly headers: Headers;
  readonly signal: AbortSignal;
  /** Sends events in one piece. */
  send(...events: string[]): void;
  /** Ends it, as a network does that fails. */
  cut(): void;
}

/** A server that a test plays. */
export function scriptedServer() {
  const streams: Stream[] = [];
  const posts: { url: URL; headers: Headers; body: unknown }[] = [];
  let refusal: Response | undefined;

  const fetch: typeof globalThis.fetch = async (input, init) => {
    const url = new URL(input as URL);
    const headers = new Headers(init?.headers);
    const signal = init?.signal;
    if (init?.method === "POST") {
      posts.push({ url, headers, body: JSON.parse(init.body as string) });
      return Response.json({
        id: "k-1",
        channel: "pipeline:42",
        topic: "status",
        kind: "data",
        created_at: AT,
        durable: false,
        duplicate: false,
      });
    }
    if (!signal) throw new TypeError("a stream without a signal would never end");
    let body!: ReadableStreamDefaultController<Uint8Array>;
    const stream = new ReadableStream<Uint8Array>({ start: (controller) => void (body = controller) });
    signal.addEventListener("abort", () => body.error(signal.reason));
    streams.push({
      url,
      headers,
      signal,
      send: (...events) => body.enqueue(new TextEncoder().encode(events.join(""))),
      cut: () => body.error(new TypeError("network")),
    });
    return refusal ?? new Response(stream, { headers: { "Content-Type": "text/event-stream" } });
  };

  return {
    fetch,
    streams,
    posts,
    /** The connections that are neither closed nor left. */
    live: () => streams.filter(({ signal }) => !signal.aborted),
    /** The latest connection. */
    get stream() {
      return streams.at(-1)!;
    },
    refuse(status: number, slug: string) {
      refusal = Response.json({ type: `/problems/${slug}`, title: slug, status }, { status });
    },
  };
}

const AT = "2026-11-23T06:18:03.222Z";

function event(type: string, seq: number, data: object): string {
  return `id: k-${seq}\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
}

function message(kind: string, topic: string, seq: number, rest: object): string {
  return event(topic, seq, { id: `k-${seq}`, channel: "pipeline:42", topic, kind, created_at: AT, ...rest });
}

export const opened = (seq = 0): string => event("$open", seq, { id: `k-${seq}`, channels: ["pipeline:42"] });
export const status = (seq: number, step: unknown, channel = "pipeline:42"): string =>
  message("data", "status", seq, { data: { step }, channel });
export const begin = (seq: number, stream: string): string => message("datastream-start", "tokens", seq, { stream_id: stream, data: null });
export const chunk = (seq: number, stream: string, data: string): string => message("chunk", "tokens", seq, { stream_id: stream, data });
export const finish = (seq: number, stream: string): string =>
  message("datastream-end", "tokens", seq, { stream_id: stream, data: { reason: "complete" } });
export const ran = (seq: number, data: object): string => message("run", "$run", seq, { data, run_id: "run_42" });
export const gap = (seq: number): string =>
  event("$gap", seq, { channel: "pipeline:42", after: "k-0", resumes_at: `k-${seq}`, reason: "overrun" });
export const bye = (seq: number, code: number, reconnect: boolean): string => event("$close", seq, { code, reason: "test", reconnect });

/** Lets everything happen that is due: promises, streams, renderings and their effects. */
export async function settled(): Promise<void> {
  for (let round = 0; round < 20; round++) await new Promise((resolve) => setImmediate(resolve));
}

/**
 * Renders a component that uses a hook, as browsers do: without act(), which would make one
 * rendering of many.
 */
export async function renderHook<Props, T>(
  useIt: (props: Props) => T,
  props: NoInfer<Props>,
  { strict = false, Wrapper }: { strict?: boolean; Wrapper?: ComponentType<{ children: ReactNode }> } = {},
) {
  const renders: T[] = [];
  const commits: T[] = [];
  const layouts: T[] = [];
  const root = createRoot(document.createElement("div"));

  function Component({ inner }: { inner: Props }): null {
    const value = useIt(inner);
    renders.push(value);
    useLayoutEffect(() => void layouts.push(value));
    useEffect(() => void commits.push(value));
    return null;
  }
  const show = async (inner: Props): Promise<void> => {
    const component = <Component inner={inner} />;
    const wrapped = Wrapper ? <Wrapper>{component}</Wrapper> : component;
    root.render(strict ? <StrictMode>{wrapped}</StrictMode> : wrapped);
    await settled();
  };
  mounted.add(root);
  await show(props);
  return {
    renders,
    commits,
    layouts,
    get now() {
      return commits.at(-1)!;
    },
    rerender: show,
    async unmount() {
      root.unmount();
      mounted.delete(root);
      await settled();
    },
  };
}

const mounted = new Set<{ unmount(): void }>();

/** Unmounts what a test has left. */
export async function cleanUp(): Promise<void> {
  for (const root of mounted) root.unmount();
  mounted.clear();
  await settled();
}

/** Turns the page away from whoever looked at it, or back. */
export async function setHidden(hidden: boolean): Promise<void> {
  Object.defineProperty(document, "hidden", { configurable: true, value: hidden });
  document.dispatchEvent(new Event("visibilitychange"));
  await settled();
}
