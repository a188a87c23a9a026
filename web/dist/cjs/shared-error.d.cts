/** One fault in a value. The pointer is a JSON Pointer, RFC 6901; "" is the whole value. */
interface Fault {
  readonly pointer: string;
  readonly detail: string;
}
/** Details of a {@link SluiceError}. */
interface ErrorDetails {
  /** The HTTP status. */
  readonly status?: number | undefined;
  /** The server's explanation. */
  readonly detail?: string | undefined;
  readonly errors?: readonly Fault[] | undefined;
  /** How long the server asks to wait before a retry. */
  readonly retryAfterMs?: number | undefined;
  /** The request's id in the server's log. */
  readonly instance?: string | undefined;
  readonly cause?: unknown;
}
/** Any failure between a program and the server. */
declare class SluiceError extends Error implements Omit<ErrorDetails, "cause"> {
  override readonly name = "SluiceError";
  /**
  * The kind of failure: the slug of the server's problem (`forbidden`, `schema-violation`), the code
  * with which it closed a stream (4401), or `network`, `token`, `invalid-message`, …
  */
  readonly code: string | number;
  /** The HTTP status; 0: there was no answer. */
  readonly status: number;
  readonly detail?: string | undefined;
  readonly errors?: readonly Fault[] | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly instance?: string | undefined;
  constructor(code: string | number, message: string, details?: ErrorDetails);
}
export { Fault as n, SluiceError as r, ErrorDetails as t };