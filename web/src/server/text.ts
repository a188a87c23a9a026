import { SluiceError } from "../error.js";
import { endpoint } from "../request.js";
import type { Caller } from "./caller.js";
import { orAbort } from "./deadline.js";
import type { Feed } from "./feed.js";
import { PieceEncoder } from "./pieces.js";
import type { StreamOptions } from "./stream.js";

/** The answer to a text that was published while it was made. */
export interface StreamReceipt {
  readonly stream_id: string;
  /** How many pieces the server made of it. */
  readonly chunks: number;
  /** How long it is in UTF-8. */
  readonly bytes: number;
  /** Of the message that begins the stream. */
  readonly first_id: string;
  /** Of the message that ends it. */
  readonly last_id: string;
}

/** Sends a text as the body of one request, piece by piece as the source gives it. */
export async function streamText(
  caller: Caller,
  { channel, topic }: { channel: string; topic: string },
  feed: Feed<unknown>,
  { runId, signal }: StreamOptions,
): Promise<StreamReceipt> {
  const url = endpoint(caller.url, `/v1/publish/${encodeURIComponent(channel)}/${encodeURIComponent(topic)}/stream`);
  if (runId !== undefined) url.searchParams.set("run_id", runId);
  let failure: { error: unknown } | undefined;
  const body = bodyOf(feed, (error) => (failure = { error }));
  try {
    const response = await caller.send(url, { method: "POST", body, signal: signal ?? null, ...HALF });
    return (await orAbort(response.json(), signal)) as StreamReceipt;
  } catch (cause) {
    if (signal?.aborted) throw signal.reason;
    if (failure) throw failure.error;
    throw cause instanceof SluiceError
      ? cause
      : new SluiceError("network", "The connection broke off; subscribers see the text as aborted", { cause });
  } finally {
    feed.close();
  }
}

/** `fetch` wants to be told that the body is a stream. */
export const HALF = { duplex: "half" } as RequestInit;

/** Makes a body that takes from the source only what is sent. If the source fails the body breaks off, and subscribers are told. */
function bodyOf(feed: Feed<unknown>, onFailure: (error: unknown) => void): ReadableStream<Uint8Array> {
  const encoder = new PieceEncoder();
  async function pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    for (;;) {
      const step = await feed.next();
      const bytes = step.done ? encoder.end() : encoder.encode(step.value);
      if (bytes.length) controller.enqueue(bytes); // an empty chunk would be the end of an HTTP/1.1 body
      if (step.done) controller.close();
      if (step.done || bytes.length) return;
    }
  }
  return new ReadableStream(
    {
      async pull(controller) {
        try {
          await pull(controller);
        } catch (error) {
          onFailure(error);
          controller.error(error);
        }
      },
    },
    { highWaterMark: 0 },
  );
}
