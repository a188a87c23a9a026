import type { WireEvent } from "./events.js";
import type { DataMessage, Gap, RunMessage } from "./message.js";
import { lost } from "./request.js";

/** A piece of a text, as the wire carries it. */
export type TextPiece = Omit<DataMessage, "kind" | "data"> & { readonly stream_id: string; readonly offset?: number } & (
    | { readonly kind: "datastream-start"; readonly data: unknown }
    | { readonly kind: "chunk"; readonly data: string }
    | { readonly kind: "datastream-end"; readonly data: { readonly reason: "complete" | "aborted" | "superseded" } }
  );

/** A message as the wire carries it. */
export type WireMessage = DataMessage | TextPiece | RunMessage;

/** Why the server ends a stream, and whether the client may come back. */
export interface Close {
  readonly code: number;
  readonly reason: string;
  readonly reconnect: boolean;
  readonly retry_after_ms?: number;
  /** Set if only this channel is concerned. */
  readonly channel?: string;
}

/** The code of a stream that was to end with its run. */
export const RUN_ENDED = 4000;

interface Open {
  readonly channel?: undefined;
  readonly heartbeat_ms?: number;
}

interface Nothing {
  readonly channel?: undefined;
}

/**
 * An event, decoded but not checked. The type of a message is `message`, whatever its topic. A type
 * that starts with `$` and is not listed here comes from a later version of the server.
 */
export type StreamEvent = (
  | { readonly type: "$open"; readonly value: Open }
  | { readonly type: "$close"; readonly value: Close }
  | { readonly type: "$gap"; readonly value: Gap }
  | { readonly type: "$run"; readonly value: RunMessage }
  | { readonly type: "$live"; readonly value: Nothing }
  | { readonly type: "$position" | ":"; readonly value: Nothing }
  | { readonly type: "message"; readonly value: DataMessage | TextPiece }
) & {
  /** The type on the wire, which is the topic of a message. */
  readonly topic: string;
  /** The position after the event; "": the event does not move it. */
  readonly id: string;
  /** The length of the data on the wire, in UTF-16 units. */
  readonly size: number;
  /** Why the data could not be read. The value is then whatever could be made of it. */
  readonly fault?: unknown;
};

/**
 * Decodes an event. If parse() cannot read a message, the event has a fault: later messages must
 * not wait for one that never becomes readable.
 *
 * @throws SluiceError `network` for a control event that is not JSON: Sluice did not send it
 */
export function decode({ type, data, id }: WireEvent, parse: (json: string) => unknown): StreamEvent {
  const isControl = /^[:$]/.test(type);
  const published = !isControl || type === "$run";
  let value: unknown;
  let fault: unknown;
  try {
    value = (published ? parse : JSON.parse)(data);
    if (published && typeof (value as WireMessage).channel !== "string") throw new TypeError("parse() returned no message");
  } catch (cause) {
    if (!published) throw lost(cause);
    fault = cause;
    value = { id, topic: type, kind: "data", data, ...readable(data) };
  }
  return { type: isControl ? type : "message", topic: type, id, size: data.length, value, fault } as StreamEvent;
}

function readable(json: string): object | undefined {
  try {
    return JSON.parse(json) as object;
  } catch {
    return undefined;
  }
}
