import { a as Presence, n as PresenceOptions } from "./shared-follow.js";

// src/presence/react/presence.d.ts
/** All options can be inline. The latest token is always used; the other options are read when the hook connects. */
interface UsePresenceOptions extends Omit<PresenceOptions, "channel" | "onChange" | "signal"> {
  /** false disconnects, and keeps what is known. Default: true. */
  enabled?: boolean | undefined;
  /** Disconnect while the page is hidden. Default: true. */
  pauseOnHidden?: boolean | undefined;
}
/**
* Tells a component who reads a channel, for as long as it is mounted. It connects after the first
* render, so on a server nobody is there.
*
* Below a {@link RealtimeProvider} it needs neither url nor token. The token must grant the topic
* `$presence` by its name. The hook only watches: whoever reads the channel, with `useRealtime`, is there.
*
* @example
* const { subjects, count } = usePresence("room:1");
*/
declare function usePresence(channel: PresenceOptions["channel"], options?: UsePresenceOptions): Presence;
export { type Presence, type UsePresenceOptions, usePresence };