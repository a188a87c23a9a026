// A server whose answers the test gives, event by event.

import type { Fetch } from "../../src/index.js";
import { vi } from "vitest";

export interface MessageFields {
  readonly channel?: string;
  readonly topic?: string;
  readonly kind?: string;
  readonly stream_id?: string;
  readonly first_id?: string;
  readonly run_id?: string;
  readonly offset?: number;
  readonly sub?: string;
}

/** One request, and what the test lets become of it. */
export class Exchange {
  readonly url: URL;
  readonly headers: Headers;
  readonly method: string;
  readonly body: string | undefined;
  /** The client has left. */
  left = false;
  #feed: ReadableStreamDefaultController<Uint8Array> | undefined;
  #over = false;
  #pieces: string[] | undefined;

  constructor(
    url: URL,
    readonly init: RequestInit,
    private readonly settle: { answer: (response: Response) => void; refuse: (cause: unknown) => void },
  ) {
    this.url = url;
    this.headers = new Headers(init.headers);
    this.method = init.method ?? "GET";
    this.body = typeof init.body === "string" ? init.body : undefined;
    const leave = (): void => {
      this.left = true;
      settle.refuse(init.signal?.reason);
      this.break(init.signal?.reason);
    };
    if (init.signal?.aborted) leave();
    init.signal?.addEventListener("abort", leave);
  }

  /** How many pieces were sent that the client has not read. */
  get unread(): number {
    return 1 - this.#feed!.desiredSize!;
  }

  /** Values of a query parameter. */
  query(name: string): string[] {
    return this.url.searchParams.getAll(name);
  }

  get token(): string | null {
    return this.headers.get("authorization")?.replace(/^Bearer /, "") ?? null;
  }

  get lastEventId(): string | null {
    return this.headers.get("last-event-id");
  }

  respond(response: Response): void {
    this.settle.answer(response);
  }

  refuse(status: number, slug: string, headers: Record<string, string> = {}, more: object = {}): void {
    this.respond(problem(status, slug, headers, more));
  }

  /** The network fails. */
  fail(): void {
    this.settle.refuse(new TypeError("fetch failed"));
  }

  /** Answers with a stream that has no event yet. */
  stream(): this {
    const body = new ReadableStream<Uint8Array>({ start: (controller) => void (this.#feed = controller) });
    this.respond(new Response(body, { headers: { "Content-Type": "text/event-stream" } }));
    return this;
  }

  /** Answers with a stream that has opened at a position. */
  open(id = "e-0"): this {
    return this.stream().event("$open", { id, resumed: this.lastEventId !== null, channels: this.query("channel") }, id);
  }

  /** Sends all that work() sends in one piece. */
  together(work: (exchange: this) => void): this {
    this.#pieces = [];
    work(this);
    const text = this.#pieces.join("");
    this.#pieces = undefined;
    return this.send(text);
  }

  send(piece: string | Uint8Array): this {
    if (this.#pieces && typeof piece === "string") this.#pieces.push(piece);
    else if (!this.#over) this.#feed!.enqueue(typeof piece === "string" ? new TextEncoder().encode(piece) : piece);
    return this;
  }

  event(type: string, data: unknown, id: string): this {
    return this.send(block(type, data, id));
  }

  /** Sends a message of channel "c" and topic "t", if it is not said otherwise. */
  message(id: string, data: unknown, fields: MessageFields = {}): this {
    const value = messageOf(id, data, fields);
    return this.event(value.topic, value, id);
  }

  /** Sends a message out of order, under the position where the stream stands. */
  outOfOrder(at: string, id: string, data: unknown, fields: MessageFields = {}): this {
    const value = messageOf(id, data, fields);
    return this.event(value.topic, value, at);
  }

  /** Sends a run status of channel "c", as it stands in the log or, with at, as a stream begins with it. */
  run(id: string, data: { status: string; [more: string]: unknown }, { at = id, ...fields }: MessageFields & { at?: string } = {}): this {
    return this.event("$run", messageOf(id, data, { topic: "$run", kind: "run", ...fields }), at);
  }

  gap(at: string, after: string, resumesAt: string | null, channel = "c", reason = "overrun"): this {
    return this.event("$gap", { channel, after, resumes_at: resumesAt, reason }, at);
  }

  heartbeat(): this {
    return this.send(":\n");
  }

  /** Ends the stream with $close. */
  close(code: number, reason: string, more: object = {}, id = ""): void {
    this.event("$close", { code, reason, reconnect: code < 4400, ...more }, id).end();
  }

  end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#feed?.close();
  }

  break(cause: unknown = new TypeError("terminated")): void {
    if (this.#over || !this.#feed) return;
    this.#over = true;
    this.#feed.error(cause);
  }
}

export interface Server {
  readonly fetch: Fetch;
  readonly requests: readonly Exchange[];
  /** The last request. */
  readonly last: Exchange;
}

/** Makes a server. What is to happen at a request can be said in advance; else it waits for the test. */
export function server(onRequest?: (exchange: Exchange, count: number) => void): Server {
  const requests: Exchange[] = [];
  const fetch: Fetch = (input, init = {}) =>
    new Promise<Response>((answer, refuse) => {
      const exchange = new Exchange(new URL(String(input)), init, { answer, refuse });
      requests.push(exchange);
      onRequest?.(exchange, requests.length);
    });
  return {
    fetch,
    requests,
    get last() {
      return requests.at(-1)!;
    },
  };
}

export function block(type: string, data: unknown, id: string): string {
  return `${id && `id: ${id}\n`}event: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
}

export function messageOf(id: string, data: unknown, { channel = "c", topic = "t", kind = "data", ...rest }: MessageFields = {}) {
  return { id, channel, topic, kind, data, ...rest, created_at: "2026-11-23T06:18:03.222Z" };
}

export function problem(status: number, slug: string, headers: Record<string, string> = {}, more: object = {}): Response {
  const body = { type: `/problems/${slug}`, title: "No", status, ...more };
  return new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/problem+json", ...headers } });
}

/** An answer whose connection breaks in the middle of its body. */
export function brokenOff(status: number): Response {
  const start = (controller: ReadableStreamDefaultController<Uint8Array>): void => controller.enqueue(new TextEncoder().encode('{"type":'));
  const pull = (controller: ReadableStreamDefaultController<Uint8Array>): void => controller.error(new TypeError("terminated"));
  return new Response(new ReadableStream({ start, pull }), { status, headers: { "Content-Type": "application/problem+json" } });
}

const immediate = setImmediate;

/** Lets time pass, and everything happen that has been set going. */
export async function tick(ms = 0): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
  for (let i = 0; i < 3; i++) await new Promise((resolve) => immediate(resolve));
}
