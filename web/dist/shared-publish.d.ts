import { n as AnyRef } from "./shared-channel.js";
import { n as Token, s as Receipt, t as Fetch } from "./shared-request.js";

// src/publish.d.ts
interface PublishOptions {
  /** The server. Default: the one that the token function's answer names in `url`, or else the page's origin. */
  url?: string | URL | undefined;
  /** A token that grants publishing to the topic. */
  token?: Token | undefined;
  /** Publishes only once, however often it is sent with this key: 1 to 255 printable ASCII characters. */
  idempotencyKey?: string | undefined;
  runId?: string | undefined;
  /** The span that the message follows from, as in the header of that name (W3C Trace Context). Its readers get it. */
  traceparent?: string | undefined;
  signal?: AbortSignal | undefined;
  /** The limit for getting the token, and again for the answer. Default: 30000 ms. */
  timeoutMs?: number | undefined;
  fetch?: Fetch | undefined;
}
/**
* Publishes a message without retrying. It throws a SluiceError, or the signal's reason.
*
* It does not validate the data. The server does, against the schema that it knows.
*/
declare function publish<Input>(ref: AnyRef<Input>, data: NoInfer<Input>, options?: PublishOptions): Promise<Receipt>;
export { publish as n, PublishOptions as t };