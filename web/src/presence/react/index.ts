"use client";
/**
 * Presence for React 18 and later: `usePresence` tells a component who reads a channel.
 *
 * @module
 */
export type { Presence } from "../readers.js";
export { usePresence, type UsePresenceOptions } from "./presence.js";
