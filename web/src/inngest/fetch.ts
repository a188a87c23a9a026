import { text } from "../channel.js";
import type { Fetch } from "../request.js";
import { staticSchema } from "../schema.js";
import type { SluiceServer } from "../server/server.js";
import type { Calls } from "./calls.js";

/** Where requests go that Sluice answers. */
export interface Destination {
  readonly sluice: SluiceServer;
  readonly calls: Calls;
  /** How long tokens are valid. */
  readonly ttl: string | undefined;
  /** Sends the requests that are not Sluice's. */
  readonly fetch: Fetch;
}

/**
 * Returns a `fetch` that has Sluice answer the two requests of Inngest's realtime API: a publish, and a
 * token to subscribe with. All other requests are passed on.
 */
export function divert(to: Destination): Fetch {
  return async (input, init) => {
    const { pathname, searchParams } = new URL(input instanceof Request ? input.url : input);
    if (pathname === "/v1/realtime/publish") return answer(publish(to, searchParams, init!.body));
    if (pathname === "/v1/realtime/token") return answer(issue(to, JSON.parse(init!.body as string) as Wanted[]));
    return to.fetch(input, init);
  };
}

/** A failure is thrown, since the SDK reports the message of an error, and of a response the status alone. */
async function answer(work: Promise<object>): Promise<Response> {
  return Response.json(await work);
}

async function publish({ sluice, calls }: Destination, query: URLSearchParams, body: RequestInit["body"]): Promise<object> {
  const { step, isText } = calls.current();
  const channel = query.get("channel")!;
  const runId = query.get("run_id") ?? undefined;
  const run = runId && step ? sluice.run(channel, runId) : undefined;
  for (const topic of query.getAll("topic")) {
    if (typeof body === "string") {
      const ref = { channel, topic, schema: staticSchema() }; // the SDK has validated the data
      const data = isText ? body : valueOf(body);
      await (run ? run.publish(step!, ref, data) : sluice.publish(ref, data, { runId }));
    } else {
      const ref = { channel, topic, ...text() };
      const source = body as ReadableStream<Uint8Array>;
      await (run ? run.stream(step!, ref, source) : sluice.stream(ref, source, { runId }));
    }
  }
  return {};
}

/** Reads JSON, or else a string that was sent as it is. */
function valueOf(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return body;
  }
}

interface Wanted {
  readonly channel: string;
  /** Of a topic. */
  readonly name: string;
}

/** The SDK hands on a single string, so that is the address to subscribe at, with the token in it. */
async function issue({ sluice, ttl }: Destination, wanted: readonly Wanted[]): Promise<object> {
  const channels = wanted.slice(0, 1).map(({ channel }) => channel); // they all name the same one
  const { subscribe_url } = await sluice.token({ channels, topics: wanted.map(({ name }) => name), ...(ttl && { ttl }) });
  return { jwt: subscribe_url };
}
