import { explain, refusalOf } from "../base/api.js";
import type { Outcome } from "../parts/state.js";

const TIMEOUT_MS = 30_000;

export interface Publication {
  readonly credential: string;
  readonly channel: string;
  readonly topic: string;
  /** JSON text, sent unchanged. */
  readonly data: string;
  /** Idempotency key, "" for none. */
  readonly key: string;
}

/** Publishes one message, and says what became of it. */
export async function publish({ credential, channel, topic, data, key }: Publication): Promise<Outcome> {
  const headers: Record<string, string> = { Authorization: `Bearer ${credential}`, "Content-Type": "application/json" };
  if (key !== "") headers["Idempotency-Key"] = key;
  const path = `v1/publish/$/$?${new URLSearchParams({ channel, topic }).toString()}`; // proxies leave the query unchanged
  try {
    const response = await fetch(new URL(path, document.baseURI), {
      method: "POST",
      headers,
      body: data,
      signal: AbortSignal.timeout(TIMEOUT_MS),
      cache: "no-store",
      credentials: "omit",
      referrerPolicy: "no-referrer",
    });
    if (!response.ok) return { ok: false, text: explain(await refusalOf(response)) };
    return { ok: true, text: describeReceipt(response.status, (await response.json()) as Receipt) };
  } catch {
    const advice = key === "" ? "The message may or may not have been published." : "You can safely publish it again with the same key.";
    return { ok: false, text: `The server did not answer. ${advice}` };
  }
}

interface Receipt {
  readonly id: string;
  readonly durable: boolean;
  readonly duplicate: boolean;
}

function describeReceipt(status: number, { id, durable, duplicate }: Receipt): string {
  if (duplicate) return `${status} Already published as ${id}. Nothing was sent again.`;
  return `${status} Published as ${id}${durable ? ", durably" : ""}.`;
}

/** Says what is wrong with a publication before it is sent, and with which field; null: nothing that can be seen. */
export function faultOf({ credential, data, key }: Publication): { field: "data" | "key" | "credential"; text: string } | null {
  try {
    JSON.parse(data);
  } catch (error) {
    return { field: "data", text: `The data is not JSON: ${error instanceof Error ? error.message : ""}` };
  }
  if (!/^[ -~]*$/.test(key)) return { field: "key", text: "An idempotency key may contain only printable ASCII characters." };
  if (credential === "") return { field: "credential", text: "Enter a token or an API key above first." };
  return null;
}
