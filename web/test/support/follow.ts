import { subscribe, type Message, type Subscription, type SubscribeOptions } from "../../src/index.js";
import type { Server } from "./server.js";

export type Options = SubscribeOptions<string, string>;

/** A subscription to channel "c" whose messages are noted. */
export interface Follower {
  readonly sub: Subscription;
  /** The data of the messages, or the text of streams, in the order of their arrival. */
  readonly got: unknown[];
  readonly messages: Message[];
}

/** Subscribes to channel "c" of the server, with handlers. */
export function follow(server: Server, options: Options = {}): Follower {
  const got: unknown[] = [];
  const messages: Message[] = [];
  const sub = subscribe<string, string>({
    url: "http://sluice",
    channel: "c",
    fetch: server.fetch,
    onMessage(message) {
      messages.push(message);
      got.push(message.kind === "data" ? message.data : message.text);
    },
    ...options,
  });
  return { sub, got, messages };
}

/** Subscribes to channel "c" of the server, to be iterated. */
export function iterable(server: Server, options: Options = {}): Subscription {
  return subscribe<string, string>({ url: "http://sluice", channel: "c", fetch: server.fetch, ...options });
}
