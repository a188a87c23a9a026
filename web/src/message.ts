/** A message whose data the publisher gave as a whole. */
export interface DataMessage<Topic extends string = string, Data = unknown> {
  /** The message's position: opaque, to resume after it. */
  readonly id: string;
  readonly channel: string;
  readonly topic: Topic;
  readonly kind: "data";
  readonly data: Data;
  readonly run_id?: string;
  /** When the server took it, RFC 3339 in UTC. */
  readonly created_at: string;
}

/**
 * A text that is streamed to its readers while it is made. It is handed over when it begins, and
 * grows: each further piece makes a new message of the same `stream_id` with a longer text.
 */
export interface TextStream<Topic extends string = string> {
  /** The position of its last piece so far. */
  readonly id: string;
  readonly channel: string;
  readonly topic: Topic;
  readonly kind: "stream";
  readonly stream_id: string;
  /** What has arrived. Of a text of more than 1 Mi characters, the end. */
  readonly text: string;
  readonly state: "open" | "complete" | "aborted";
  /** Something is missing from the text: its beginning, or what a gap took. */
  readonly partial: boolean;
  readonly run_id?: string;
  /** When the server took its last piece, RFC 3339 in UTC. */
  readonly created_at: string;
  /**
   * The text from its beginning, piece by piece, until its end; what arrives between two steps
   * comes as one. Each iteration is its own. It ends early with the subscription.
   */
  readonly chunks: AsyncIterable<string>;
}

/** What a subscription hands over. */
export type Message<Topic extends string = string, Data = unknown> = DataMessage<Topic, Data> | TextStream<Topic>;

/** Says that the messages of a channel after an id are lost to the subscription for good. */
export interface Gap {
  readonly channel: string;
  /** The id that was asked for. */
  readonly after: string;
  /** The id from which on nothing is missing; null: not known yet. */
  readonly resumes_at: string | null;
  /** `overrun`: the server's buffer was too short; `expired`: they were too old, or the channel was deleted; `restarted`: the server has begun anew. */
  readonly reason: "overrun" | "expired" | "restarted";
}

/** How the job stands that a channel reports on. */
export interface Run {
  readonly status: "unknown" | "running" | "completed" | "failed" | "cancelled";
  readonly run_id?: string | undefined;
  readonly result?: unknown;
  readonly error?: unknown;
}

/** The message that brings a run's status. */
export interface RunMessage {
  readonly id: string;
  readonly channel: string;
  readonly topic: "$run";
  readonly kind: "run";
  readonly data: Run;
  readonly run_id?: string;
  readonly created_at: string;
}

/** What the server answers to a publish. */
export interface Receipt {
  readonly id: string;
  readonly channel: string;
  readonly topic: string;
  readonly kind: "data" | "run";
  readonly created_at: string;
  /** It was published under a key, which makes it happen once. */
  readonly durable: boolean;
  /** It had been published before; this is the receipt of that time. */
  readonly duplicate: boolean;
}
