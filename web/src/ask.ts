import type { PoolMember } from "./poolmember.js";
import { notAfter } from "./position.js";
import { endpoint } from "./request.js";

/** What a connection asks the server for. */
export interface Ask {
  readonly url: URL;
  /** The position to resume after; null: none. */
  readonly position: string | null;
  /** The topics that may arrive, as far as they are known. */
  readonly topics: readonly string[];
}

/**
 * Combines what the members want into one request, from the position of the member that is furthest
 * behind. Topics apply to all channels of a stream. So if the members differ in theirs, the request
 * names no topics, and each member picks its own from all that are granted.
 */
export function askFor(members: readonly PoolMember[], server: string | URL | undefined): Ask {
  const url = endpoint(server, "/v1/subscribe");
  const [{ replay, until, topics: wanted }] = members as [PoolMember];
  const topics = members.flatMap((member) => member.topics ?? []);
  const position = members.map((member) => member.position).reduce((a, b) => (notAfter(b, a) ? b : a));
  const add = (name: string, values: readonly unknown[]): void =>
    new Set(values).forEach((value) => url.searchParams.append(name, String(value)));
  add(
    "channel",
    members.flatMap((member) => member.channels),
  );
  if (members.every((member) => `${member.topics}` === `${wanted}`)) add("topic", topics);
  if (!position && replay !== "none") add("replay", [replay]);
  if (until) add("until", [until]);
  return { url, position, topics };
}
