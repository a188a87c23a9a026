/** A message that was published as a whole. */
interface DataMessage<Topic extends string = string, Data = unknown> {
  /** The message's position. It is opaque; a subscription can resume after it. */
  readonly id: string;
  readonly channel: string;
  readonly topic: Topic;
  readonly kind: "data";
  readonly data: Data;
  readonly run_id?: string;
  /** Only if it stands for several messages, which a {@link MergeRule} holds as one: the id of the first of them. */
  readonly first_id?: string;
  /** The subject of the token that published it, which the server sets. Absent if it was published with an API key. */
  readonly sub?: string;
  /** The `traceparent` header (W3C Trace Context) with which it was published. */
  readonly traceparent?: string;
  /** When the server accepted it, RFC 3339 in UTC. */
  readonly created_at: string;
}
/**
* A text that is streamed to its readers while it is written. It is delivered when it starts, and
* then grows: each further piece makes a new message with the same `stream_id` and a longer text. If its
* publisher begins it again, it is delivered again, and grows from nothing.
*/
interface TextStream<Topic extends string = string> {
  /** The position of its latest piece. */
  readonly id: string;
  readonly channel: string;
  readonly topic: Topic;
  readonly kind: "stream";
  readonly stream_id: string;
  /** What has arrived so far. Of a text that is too long for the server (1 MiB by default) or longer than 1 Mi characters, only the end. */
  readonly text: string;
  /** Its publisher has finished it. */
  readonly complete: boolean;
  /** `complete`: all was published; `aborted`: its publisher was lost; `superseded`: a later attempt replaces it. */
  readonly state: "open" | "complete" | "aborted" | "superseded";
  /** Something is missing from the text: its beginning, or what a gap took. */
  readonly partial: boolean;
  readonly run_id?: string;
  /** The subject of the token that publishes it, which the server sets. Absent if it is published with an API key. */
  readonly sub?: string;
  /** When the server accepted its latest piece, RFC 3339 in UTC. */
  readonly created_at: string;
  /**
  * The text from start to end, piece by piece. Pieces that arrive between two steps are joined. Each
  * iteration is independent. It ends early if the subscription ends.
  */
  readonly chunks: AsyncIterable<string>;
}
/** What a subscription delivers. */
type Message<Topic extends string = string, Data = unknown> = DataMessage<Topic, Data> | TextStream<Topic>;
/** Messages of a channel after an id are permanently lost to the subscription. */
interface Gap {
  readonly channel: string;
  /** The id after which messages are missing. */
  readonly after: string;
  /** The id from which nothing is missing; null: not known yet. */
  readonly resumes_at: string | null;
  /** `overrun`: the server's buffer was too small; `expired`: the messages were too old, or the channel was deleted; `restarted`: the server restarted. */
  readonly reason: "overrun" | "expired" | "restarted";
}
/** The status of the job that a channel reports on. */
interface Run {
  readonly status: "unknown" | "running" | "completed" | "failed" | "cancelled";
  readonly run_id?: string | undefined;
  readonly result?: unknown;
  readonly error?: unknown;
}
/** A message with the status of a run. */
interface RunMessage {
  readonly id: string;
  readonly channel: string;
  readonly topic: "$run";
  readonly kind: "run";
  readonly data: Run;
  readonly run_id?: string;
  /** The subject of the token that set the status. Absent if it was set with an API key. */
  readonly sub?: string;
  readonly created_at: string;
}
/** The server's answer to a publish. */
interface Receipt {
  readonly id: string;
  readonly channel: string;
  readonly topic: string;
  readonly kind: "data" | "run";
  readonly created_at: string;
  /** It was published with a key, so it happens only once. */
  readonly durable: boolean;
  /** It had been published before, and this is the first receipt. */
  readonly duplicate: boolean;
}
/** A credential, or a function that gets one and is called before each connection. */
type Token = string | (() => TokenAnswer | Promise<TokenAnswer>);
/** The token itself, the server's answer to `POST /v1/tokens`, or a `Response` with either of them as its body. */
type TokenAnswer = string | {
  readonly token: string;
  readonly url?: string | undefined;
} | Response;
type Fetch = typeof globalThis.fetch;
export { Gap as a, Run as c, DataMessage as i, RunMessage as l, Token as n, Message as o, TokenAnswer as r, Receipt as s, Fetch as t, TextStream as u };