import { SluiceError } from "../error.js";
import { schemaOf, type AnyRef } from "../channel.js";
import type { Receipt } from "../message.js";
import { problemOf } from "../request.js";
import { check, faultsOf } from "../schema.js";

/** The result of one of several messages. */
export type PublishResult = Receipt | SluiceError;

/** What a message has besides its data. */
export interface Attributes {
  /**
   * Makes the publish durable: of all publishes to the topic with this key, only the first takes
   * effect, and the others get its receipt. 1 to 255 printable ASCII characters.
   */
  readonly key?: string | undefined;
  /** The run that the message belongs to. */
  readonly runId?: string | undefined;
  /**
   * The span that the message follows from, as in the header of that name (W3C Trace Context). Its readers get
   * it, and the spans of a server that traces are its children.
   */
  readonly traceparent?: string | undefined;
}

/**
 * Validates a message against its topic's schema and encodes it as the server reads it: JSON on one
 * line.
 *
 * It sends the data as it was given, not the schema's output: subscribers run the schema again, and
 * it may not accept its own output.
 *
 * @throws SluiceError of status 0: `schema-violation` with the location of each fault, or
 *   `malformed` for what JSON cannot express
 */
export async function itemOf(ref: AnyRef, data: unknown, { key, runId, traceparent }: Attributes): Promise<string> {
  const { channel, topic } = ref;
  const result = await check(schemaOf(ref), data);
  if (result.issues) {
    const errors = faultsOf(result);
    const detail = errors.map((each) => (each.pointer ? `${each.pointer}: ${each.detail}` : each.detail)).join("; ");
    throw new SluiceError("schema-violation", `The data breaks the schema of ${topic}: ${detail}`, { detail, errors });
  }
  return jsonOf({ channel, topic, data: written(data, topic), run_id: runId, idempotency_key: key, traceparent });
}

/**
 * Encodes a value as JSON.
 *
 * @throws SluiceError `malformed`
 */
export function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch (cause) {
    throw new SluiceError("malformed", `The data cannot be written as JSON: ${String(cause)}`, { cause });
  }
}

/** Refuses what JSON.stringify would silently leave out. */
function written(data: unknown, topic: string): unknown {
  if (data === undefined || typeof data === "function" || typeof data === "symbol") {
    throw new SluiceError("malformed", `The data for ${topic} is ${typeof data}, which JSON cannot express`);
  }
  return data;
}

/** Reads the server's answer to one of several items: a receipt, or a problem, which has a status, and in `retry_after` what is a header otherwise. */
export async function resultOf(answer: Receipt | { status: number; retry_after?: number }): Promise<PublishResult> {
  if (!("status" in answer)) return answer;
  const { status, retry_after: seconds } = answer;
  return problemOf(new Response(jsonOf(answer), { status, headers: seconds ? { "Retry-After": String(seconds) } : {} }));
}
