import type { Member } from "./member.js";
import { covered } from "./position.js";
import { endpoint } from "./request.js";

/** What a connection asks the server for. */
export interface Ask {
  readonly url: URL;
  /** Where to go on; null: at the beginning. */
  readonly position: string | null;
  /** The topics that may come, as far as they are known. */
  readonly topics: readonly string[];
}

/**
 * Asks for what all members want together, from the position of the one that is furthest behind.
 * Topics hold for all channels of a stream, so with different ones all that are granted are asked
 * for, and each member picks its own.
 */
export function askFor(members: readonly Member[], server: string | URL | undefined): Ask {
  const url = endpoint(server, "/v1/subscribe");
  const [{ replay, topics: wanted }] = members as [Member];
  const topics = members.flatMap((member) => member.topics ?? []);
  const position = members.map((member) => member.position).reduce((a, b) => (a && b && covered(b, a) ? b : a));
  const add = (name: string, values: readonly unknown[]): void =>
    new Set(values).forEach((value) => url.searchParams.append(name, String(value)));
  add(
    "channel",
    members.flatMap((member) => member.channels),
  );
  if (members.every((member) => `${member.topics}` === `${wanted}`)) add("topic", topics);
  if (!position && replay !== "none") add("replay", [replay]);
  return { url, position, topics };
}
