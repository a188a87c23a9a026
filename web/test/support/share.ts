import type { Subscription } from "../../src/index.js";
import { follow, type Follower, type Options } from "./follow.js";
import { tick, type Exchange, type Server } from "./server.js";

const open: Subscription[] = [];

/** Subscribes to channels with the one token, so that the connection is shared. */
export function join(server: Server, channels: string | string[], options: Options = {}): Follower {
  const follower = follow(server, { channel: undefined, channels: [channels].flat(), token: "t", ...options });
  open.push(follower.sub);
  return follower;
}

/** Closes what has joined. */
export function closeAll(): void {
  for (const sub of open.splice(0)) sub.close();
}

/** The requests whose client is still there. */
export function alive({ requests }: Server): Exchange[] {
  return requests.filter(({ left }) => !left);
}

/** Lets the connections of the server be joined: the last request is what they become. */
export async function settle(): Promise<void> {
  await tick(1000);
  await tick();
}
