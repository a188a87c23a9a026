import { l as TopicRef, x as Receipt } from "./shared-channel.js";
import { n as Token, t as Fetch } from "./shared-request.js";

// src/publish.d.ts
interface PublishOptions {
  /** The server. Default: the page's origin. */
  url?: string | URL | undefined;
  /** A token with a grant to publish to the topic. */
  token?: Token | undefined;
  /** Makes it happen once, however often it is sent with this key: 1 to 255 printable ASCII characters. */
  idempotencyKey?: string | undefined;
  runId?: string | undefined;
  signal?: AbortSignal | undefined;
  fetch?: Fetch | undefined;
}
/**
* Publishes a message, once: it is not tried again. It throws a SluiceError.
*
* The data is not validated here; the server does that, by the schema it knows.
*/
declare function publish<Input>(ref: TopicRef<string, Input>, data: NoInfer<Input>, options?: PublishOptions): Promise<Receipt>;
export { publish as n, PublishOptions as t };