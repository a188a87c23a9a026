// A server that is made of answers: what a test of the ./server entry needs besides the entry.

import { channel, staticSchema } from "../src/index.js";
import { createServer, type ServerOptions, type SluiceServer } from "../src/server/index.js";
import { z } from "zod";

export interface Request {
  readonly method: string;
  readonly path: string; // with the query
  readonly headers: Record<string, string>;
  /** The body, if it was a text. */
  readonly body: string | undefined;
  readonly init: RequestInit;
}

export type Answer = (request: Request) => Response | Promise<Response>;

/** Makes a server whose requests are answered by the functions in turn, and by the last one for ever. */
export function serverOf(
  answers: Answer | readonly Answer[],
  options: Partial<ServerOptions> = {},
): { sluice: SluiceServer; requests: Request[]; fetch: typeof globalThis.fetch } {
  const requests: Request[] = [];
  const list = [answers].flat() as readonly Answer[];
  const fetch = async (input: URL | RequestInfo, init: RequestInit = {}): Promise<Response> => {
    const url = input as URL;
    const request: Request = {
      method: init.method ?? "GET",
      path: url.pathname + url.search,
      headers: init.headers as Record<string, string>,
      body: typeof init.body === "string" ? init.body : undefined,
      init,
    };
    requests.push(request);
    const { signal } = init;
    const aborted = new Promise<never>((_, reject) => {
      const abort = (): void => reject(signal?.reason as Error);
      if (signal?.aborted) abort();
      signal?.addEventListener("abort", abort);
    });
    return Promise.race([aborted, Promise.resolve(list[Math.min(requests.length, list.length) - 1]!(request))]);
  };
  return { sluice: createServer({ url: "https://sluice.example/base/", apiKey: "key", fetch, gather: true, ...options }), requests, fetch };
}

export function json(value: unknown, status = 200, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(value), { status, headers: { "Content-Type": "application/json", ...headers } });
}

export function problem(status: number, slug: string, headers: Record<string, string> = {}): Response {
  return json(problemBody(status, slug), status, { "Content-Type": "application/problem+json", ...headers });
}

export function problemBody(status: number, slug: string): object {
  return { type: `/problems/${slug}`, title: slug, status };
}

let count = 0;

export function receipt(changes: object = {}): object {
  return {
    ...{ id: `e-${++count}`, channel: "pipeline:42", topic: "status", kind: "data" },
    ...{ created_at: "2026-11-23T06:18:03.222Z", durable: false, duplicate: false, ...changes },
  };
}

/** Answers a publish of any form as the server does. */
export function accept({ body }: Request): Response {
  const items = JSON.parse(body!) as { channel: string; topic: string } | { channel: string; topic: string }[];
  const one = ({ channel: name, topic }: { channel: string; topic: string }): object => receipt({ channel: name, topic });
  return Array.isArray(items) ? json(items.map(one)) : json(one(items), 201);
}

export const pipeline = channel({
  name: ({ runId }: { runId: string }) => `pipeline:${runId}`,
  topics: {
    status: { schema: z.object({ message: z.string(), step: z.string().optional() }) },
    tokens: { schema: staticSchema<{ token: string }>() },
    answer: { schema: z.object({ ok: z.boolean(), at: z.string().transform((text) => text.length) }) },
    late: { schema: z.string().refine(async (text) => Promise.resolve(text !== "bad"), "is bad") },
  },
});

export const run42: ReturnType<typeof pipeline> = pipeline({ runId: "42" });
