/**
 * Presence: who reads a channel right now, on all nodes of the server.
 *
 * @module
 */
export { followPresence, type PresenceChange, type PresenceOptions, type PresenceSubscription } from "./follow.js";
export type { Presence } from "./readers.js";
