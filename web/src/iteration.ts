import { ring, wait, type Bell } from "./bell.js";
import type { SluiceError } from "./error.js";
import type { Message } from "./message.js";

/** Lets `for await` loops take the messages of a subscription, one at a time. */
export interface Iteration<M extends Message> {
  /**
   * Offers a message once the handlers are done with it. The promise is fulfilled when a loop has
   * dealt with it. If nothing else takes messages, it waits for the first loop; otherwise a message
   * is offered only after a loop has begun.
   */
  offer(message: M, handled: Promise<unknown> | undefined, taken: unknown): Promise<unknown> | undefined;
  /** Something else takes messages now: unless a loop has begun, the one that is offered counts as dealt with. */
  skip(): void;
  /** Withdraws the message that is offered. */
  withdraw(): void;
  /** Begins a loop. It ends when nothing more can come, and closes the subscription when it is left. */
  newLoop(): AsyncGenerator<M, undefined>;
}

/** @param ended returns what the subscription ended with, once no message can come any more */
export function createIteration<M extends Message>(
  bell: Bell,
  ended: () => { readonly error: SluiceError | null } | undefined,
  close: () => void,
): Iteration<M> {
  let begun = false;
  let offered: { readonly message: M; readonly taken: () => void } | undefined;

  async function* loop(): AsyncGenerator<M, undefined> {
    try {
      while (offered ?? !ended()) {
        if (offered) {
          const { message, taken } = offered;
          offered = undefined;
          yield message;
          taken(); // only now has the loop dealt with it
        } else await wait(bell);
      }
      const { error } = ended()!;
      if (error) throw error;
    } finally {
      close();
    }
    return undefined;
  }

  async function offerAfter(message: M, handled: Promise<unknown> | undefined): Promise<void> {
    await handled;
    await new Promise<void>((taken) => {
      offered = { message, taken };
      ring(bell);
    });
  }

  return {
    offer: (message, handled, taken) => (begun || !taken ? offerAfter(message, handled) : handled),
    skip: () => begun || offered?.taken(),
    withdraw() {
      offered = undefined;
    },
    newLoop() {
      begun = true;
      return loop();
    },
  };
}
