import { orAbort } from "../abort.js";
import { SluiceError } from "../error.js";
import { after } from "../timer.js";
import { STREAMED, type Caller } from "./caller.js";
import { wait, within, type Deadline } from "./deadline.js";
import type { TextFeed } from "./textfeed.js";

/** One request that sends a text from some offset on, to its end. */
export class TextRequest {
  /** Up to where the request has been given the text. */
  sent: number;

  /**
   * @param confirm asks the server how much of the text it has. undefined: it cannot tell, perhaps because
   *   a proxy holds the request back until it is complete.
   */
  constructor(
    private readonly caller: Caller,
    private readonly text: TextFeed,
    readonly offset: number,
    private readonly confirm: (signal: AbortSignal) => Promise<number | undefined>,
  ) {
    this.sent = offset;
  }

  /** Sends the request and returns the answer. It throws a {@link SluiceError}, what the source throws, or the signal's reason. */
  async send<T>(url: URL, outer: AbortSignal, traceparent?: string): Promise<T> {
    const { timeoutMs } = this.caller;
    const deadline = within(undefined, outer);
    const { signal, expire, done } = deadline;
    let stop: (() => void) | undefined;
    const body = this.#body(signal, () => {
      stop = after(timeoutMs, () => expire(new SluiceError("network", `The text was sent, and no answer came within ${timeoutMs} ms`)));
    });
    void this.#watch(deadline);
    try {
      const response = await this.caller.send(url, {
        method: "POST",
        body,
        signal,
        ...(traceparent && { headers: { traceparent } }),
        ...STREAMED,
      });
      return (await orAbort(response.json(), signal)) as T;
    } catch (cause) {
      if (signal.aborted) throw signal.reason;
      if (cause instanceof SyntaxError) throw new SluiceError("invalid-answer", "The answer is not JSON", { cause }); // of a portal
      if (cause instanceof SluiceError) throw cause;
      throw new SluiceError("network", "The connection broke off before the text was complete", { cause });
    } finally {
      stop?.();
      done();
    }
  }

  /** Creates a body that takes from the source only what is sent. If the source fails, the body breaks off: an end would complete the text. */
  #body(signal: AbortSignal, onEnd: () => void): ReadableStream<Uint8Array> {
    return new ReadableStream(
      {
        pull: async (controller) => {
          try {
            const bytes = await this.text.read(this.sent);
            if (signal.aborted) return; // nobody reads it any more
            this.sent += bytes.length;
            if (bytes.length) return controller.enqueue(bytes);
            controller.close();
            onEnd();
          } catch (error) {
            controller.error(error);
          }
        },
      },
      { highWaterMark: 0 },
    );
  }

  /**
   * Ends the request if text was sent and none of it reaches the server. Otherwise it could take a quarter
   * of an hour to notice that the other end of a connection is gone.
   */
  async #watch({ signal, expire }: Deadline): Promise<void> {
    const intervalMs = this.caller.timeoutMs / 2;
    try {
      for (let last: number | undefined, had = 0; ; last = had) {
        const { sent } = this;
        await wait(intervalMs, signal);
        if (had >= sent) continue;
        const now = await this.confirm(signal);
        if (now === undefined && !this.text.backlog.isFull) continue;
        had = now ?? 0;
        if (had < sent && had === last) throw new SluiceError("network", `Nothing of the text has reached the server for ${intervalMs} ms`);
      }
    } catch (error) {
      expire(error);
    }
  }
}
